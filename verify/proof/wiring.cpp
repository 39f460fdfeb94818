#include "verify/proof/wiring.h"

#include <fmt/format.h>

#include <algorithm>

namespace lockstep::verify {
namespace {

bool is_identity(const Node& node) {
  return node.op == "dropout" || node.op == "identity" || node.op == "flatten";
}

// Dropout, identity and flatten keep every element's value and its place in (C,H,W) order.
std::string without_identities(const Graph& graph, std::string name) {
  for (const Node* node = graph.find_node(name); node != nullptr && is_identity(*node);
       node = graph.find_node(name))
    name = node->inputs[0];
  return name;
}

}  // namespace

Chain find_chain(const Graph& graph, const PlanOp& op, const VisibleTensor& output) {
  if (graph.find_node(op.node) == nullptr)
    throw Difference{
        op.node, fmt::format("layer '{}': the plan has an operator of this name, the graph has no "
                             "such node",
                             op.node)};
  Chain chain;
  for (const Node* node = graph.find_node(output.name);; node = graph.find_node(node->inputs[0])) {
    if (node == nullptr)
      throw Difference{
          op.node,
          fmt::format("layer '{}': its operator writes '{}', but in the graph that does not "
                      "depend on it",
                      op.node, output.name)};
    chain.insert(chain.begin(), node);
    if (node->name == op.node) return chain;
  }
}

Chain check_wiring(PlanCheck& check, const PlanOp& op) {
  const VisibleTensor& input = check.tensors[op.inputs[0]];
  const VisibleTensor& output = check.tensors[op.output];
  const Chain chain = find_chain(check.graph, op, output);
  if (check.made[op.output])
    throw Difference{output.name,
                     fmt::format("layer '{}': the plan computes it twice", output.name)};
  if (!check.made[op.inputs[0]])
    throw Difference{
        op.node, fmt::format("layer '{}': reads '{}' before it is computed", op.node, input.name)};
  const std::string& source = chain.front()->inputs[0];
  check.checked += 1;
  if (without_identities(check.graph, input.name) != without_identities(check.graph, source))
    throw Difference{op.node, fmt::format("layer '{}': reads '{}', but the graph says '{}'",
                                          op.node, input.name, source)};
  check.made[op.output] = true;
  return chain;
}

void expect_first_op(PlanCheck& check, const PlanOp& op, const Chain& chain,
                     const std::string& found) {
  check.expect(op.node, "operator", chain.front()->op, found);
}

bool only_identities(const Chain& chain, std::size_t from) {
  return std::all_of(chain.begin() + static_cast<std::ptrdiff_t>(from), chain.end(),
                     [](const Node* node) { return is_identity(*node); });
}

}  // namespace lockstep::verify
