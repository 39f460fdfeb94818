// What lockstep-check prints of a certificate that holds.
#pragma once

#include <string>

#include "verify/checker/certificate.h"

namespace lockstep::cli {

// Lines. The second is `of_c`, a line about the C, where it is not empty.
std::string summary(const checker::Checked& checked, const std::string& of_c);

}  // namespace lockstep::cli
