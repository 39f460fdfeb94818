#include "verify/proof/padded_input.h"

#include <vector>

#include "verify/proof/wiring.h"

namespace lockstep::verify {

PaddedInput padded_input(PlanCheck& check, const PlanOp& op, const Node& node) {
  PaddedInput input = {node.inputs[0], {0, 0}, {0, 0}};
  while (!holds(check, op.inputs[0], input.name)) {
    const Node* const pad = check.graph.find_node(without_identities(check.graph, input.name));
    if (pad == nullptr || pad->op != "pad" || pad->choice("mode") != "zeros") {
      expect_input(check, op, 0, node, 0);
      break;
    }
    const std::vector<std::int64_t>& padding = pad->integers("padding");  // the last axis first
    input.before.width += padding[0];
    input.behind.width += padding[1];
    if (padding.size() > 2) {
      input.before.height += padding[2];
      input.behind.height += padding[3];
    }
    input.name = pad->inputs[0];
  }
  return input;
}

}  // namespace lockstep::verify
