// How `compile` says in which form it stored the weights, and why.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "compile/compile.h"

namespace lockstep::cli {

// A table of the layers of which more than 5 % of the weights are 0 or whose input channels have
// different decimals, and a line above it; empty where there are none. Columns for segments where
// there is a layer of the second kind.
std::string storage_text(const std::vector<passes::StorageChoice>& choices);

// All of them.
nlohmann::ordered_json storage_json(const std::vector<passes::StorageChoice>& choices);

}  // namespace lockstep::cli
