// Where generated C can be changed.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "verify/mutate/c_mutants.h"

namespace lockstep::mutate {

// By kind, then by function or table. Every choice differs from what is there.
using CSites = std::map<std::string, std::map<std::string, std::vector<CMutants::Site>>>;
CSites c_sites_of(std::string_view source);

}  // namespace lockstep::mutate
