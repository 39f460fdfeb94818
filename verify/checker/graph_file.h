// graph.json as far as it stands for itself, without the state dict.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "verify/checker/model.h"

namespace lockstep::checker {

// What training did to the weight of a node: the fields of graph.json as a node's attributes.
struct Wraps {
  std::optional<Node> quantize, prune;
};

struct GraphFile {
  Model model;               // without what comes from the state dict
  std::vector<Wraps> wraps;  // of each node
};

// BadFile begins with `name`.
GraphFile parse_graph(std::string_view text, const std::string& name);

}  // namespace lockstep::checker
