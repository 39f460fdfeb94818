// How each operator was written in C, for people and as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "compile/compile.h"

namespace lockstep::cli {

// `operators` of the compiled network, in the same order, for the multiply-accumulates.
std::string strategy_text(const CSources& sources, const std::vector<OperatorReport>& operators);
nlohmann::ordered_json strategy_json(const CSources& sources);

}  // namespace lockstep::cli
