// What came of the search for inputs that drive accumulators to their ends, as a line and as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "verify/verify.h"

namespace lockstep::cli {

// "worst-case inputs  36 of the 36 ends of 18 channels searched, 12 attained through the network,
// 24 only by the layer alone"
std::string worst_cases_text(const verify::Report& report);

// How many there are, were searched and are attained; and each case that was searched.
nlohmann::ordered_json worst_cases_json(const verify::Report& report);

}  // namespace lockstep::cli
