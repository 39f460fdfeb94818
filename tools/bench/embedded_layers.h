// The layers and networks that generated C for microcontrollers is measured with.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "compile/checkpoint/state_dict.h"
#include "compile/graph/graph.h"

namespace lockstep::bench {

struct EmbeddedCase {
  std::string name;
  Graph graph;
  StateDict state;
};

// The names, in the order of the table.
std::vector<std::string> embedded_cases();
// One of them, with this share of its weights pruned.
EmbeddedCase embedded_case(std::string_view name, double sparsity);

}  // namespace lockstep::bench
