#include "verify/differential/output_names.h"

namespace lockstep::verify {

bool is_output_name(const Graph& graph, const std::string& output, const std::string& found) {
  bool behind_softmax = false;
  for (const std::string* name = &output; *name != found;) {
    const Node* node = graph.find_node(*name);
    if (node == nullptr) return false;
    const bool is_softmax = node->op == "softmax" || node->op == "log_softmax";
    if (!is_softmax && node->op != "identity" && node->op != "dropout") return false;
    behind_softmax = behind_softmax || is_softmax;
    name = &node->inputs[0];
  }
  return output == found || behind_softmax;
}

}  // namespace lockstep::verify
