// Who reads a value of a graph.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "compile/graph/graph.h"

namespace lockstep::train {

// The node that reads `value`, when nothing else does; nullptr when there are several or none, or
// when the value is an output.
inline const Node* only_reader(const std::vector<Node>& nodes,
                               const std::vector<std::string>& outputs, const std::string& value) {
  if (std::ranges::count(outputs, value) > 0) return nullptr;
  const Node* found = nullptr;
  for (const Node& node : nodes) {
    if (std::ranges::count(node.inputs, value) == 0) continue;
    if (found != nullptr) return nullptr;
    found = &node;
  }
  return found;
}

}  // namespace lockstep::train
