// What generated C costs on emulated cores as one HTML page: charts and tables.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tools/report/core_costs.h"

namespace lockstep::cli {

// A whole document that needs no other file and has no script; charts are SVG in it. Equal results
// give equal bytes. Any texts are allowed as names.
// `what` runs: "its generated C".
std::string cost_page(std::string_view network, std::string_view what,
                      const std::vector<CoreCost>& cores);

}  // namespace lockstep::cli
