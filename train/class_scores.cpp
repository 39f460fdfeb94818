#include "train/class_scores.h"

#include <fmt/format.h>

#include <set>

#include "compile/support/error.h"

namespace lockstep::train {

std::string class_scores_name(const Graph& graph) {
  std::string name = graph.outputs.at(0);
  const Node* node = graph.find_node(name);
  while (node != nullptr && (node->op == "identity" || node->op == "softmax" ||
                             node->op == "log_softmax" || node->op == "argmax")) {
    const std::string& input = node->inputs.at(0);
    const bool is_identity = node->op == "identity";
    node = graph.find_node(input);
    if (node != nullptr && !is_identity) name = input;
  }
  return name;
}

void require_gradients(const Graph& graph) {
  std::set<std::string, std::less<>> needed = {class_scores_name(graph)};
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    if (!needed.contains(node->name)) continue;
    if (node->op == "argmax")
      throw InputError(fmt::format(
          "layer '{}': argmax has no gradient, so no layer before it can train; let its "
          "input go on instead",
          node->name));
    needed.insert(node->inputs.begin(), node->inputs.end());
  }
}

}  // namespace lockstep::train
