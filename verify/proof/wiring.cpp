#include "verify/proof/wiring.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "compile/support/error.h"

#include "verify/differential/channel_map.h"
#include "verify/proof/graph_function.h"
#include "verify/semantics/index.h"

namespace lockstep::verify {
namespace {

bool is_identity(const Node& node) {
  constexpr std::array<std::string_view, 5> kOps = {"dropout", "identity", "flatten", "softmax",
                                                    "log_softmax"};
  if (node.op == "transpose") return node.integer("dim0") == node.integer("dim1");
  return std::ranges::find(kOps, node.op) != kOps.end();
}

}  // namespace

std::string without_identities(const Graph& graph, std::string name) {
  for (const Node* node = graph.find_node(name); node != nullptr && is_identity(*node);
       node = graph.find_node(name))
    name = node->inputs[0];
  return name;
}

bool is_ancestor(const Graph& graph, std::string_view node, std::string_view of) {
  std::set<std::string, std::less<>> seen;
  std::vector<std::string> open = {std::string(of)};
  while (!open.empty()) {
    const std::string name = open.back();
    open.pop_back();
    if (name == node) return true;
    if (!seen.insert(name).second) continue;
    if (const Node* found = graph.find_node(name); found != nullptr)
      open.insert(open.end(), found->inputs.begin(), found->inputs.end());
  }
  return false;
}

void check_wiring(PlanCheck& check, const PlanOp& op) {
  const VisibleTensor& output = check.tensors[op.output];
  if (op.node.empty())
    throw Difference{output.name,
                     fmt::format("layer '{}': the plan's operator that writes it names no node of "
                                 "the graph",
                                 output.name)};
  // A copy that brings an input of the network to another grid is named after that, and so is the
  // table that makes codes of the bytes of a raw input.
  const GraphInput* const of_input = check.graph.find_input(op.node);
  const bool is_of_input =
      of_input != nullptr &&
      (op.code == PlanOp::kRequantize || (op.code == PlanOp::kTable && of_input->raw.has_value()));
  if (check.graph.find_node(op.node) == nullptr && !is_of_input)
    throw Difference{
        op.node, fmt::format("layer '{}': the plan has an operator of this name, the graph has no "
                             "such node",
                             op.node)};
  if (!is_ancestor(check.graph, op.node, output.name) &&
      !is_ancestor(check.graph, output.name, op.node))
    throw Difference{
        op.node, fmt::format("layer '{}': its operator writes '{}', but in the graph that does not "
                             "depend on it",
                             op.node, output.name)};
  if (check.made[op.output])
    throw Difference{output.name,
                     fmt::format("layer '{}': the plan computes it twice", output.name)};
  for (const std::uint32_t input : op.inputs)
    if (!check.made[input])
      throw Difference{op.node, fmt::format("layer '{}': reads '{}' before it is computed", op.node,
                                            check.tensors[input].name)};
  check.checked += static_cast<std::int64_t>(op.inputs.size());
  check.made[op.output] = true;
}

const Node& expect_node(PlanCheck& check, const PlanOp& op,
                        std::initializer_list<std::string_view> ops, const std::string& found) {
  const Node* found_node = check.graph.find_node(op.node);
  LOCKSTEP_ASSERT(found_node != nullptr);
  const Node& node = *found_node;
  if (std::ranges::find(ops, node.op) == ops.end())
    check.expect(op.node, "operator", node.op, found);
  check.checked += 1;
  return node;
}

bool is_term(const PlanCheck& check, const ElementFacts& facts, std::size_t element, Term term) {
  if (facts.terms[element] == term) return true;
  if (term.node != Term::kZero || facts.lo[element] != facts.hi[element] ||
      !check.terms.chains().is_exact(term.chain))
    return false;
  const GraphFunction constant(check.terms.chains().behind(term.chain, Chains::kEmpty), 0);
  return constant.apply(0, facts.decimals[element]) == facts.lo[element];
}

bool holds(PlanCheck& check, std::uint32_t tensor, const std::string& name) {
  const VisibleTensor& held = check.tensors[tensor];
  const Format& format = check.network.format(name);
  if (!is_part_of(held, format)) return false;
  const bool same_name =
      without_identities(check.graph, held.name) == without_identities(check.graph, name);
  if (same_name && held.named && held.offsets.empty()) return true;
  const ElementFacts& facts = check.held[tensor];
  const std::int32_t node = check.terms.number_of(name);
  for (std::int64_t e = 0; e < held.element_count(); ++e)
    if (!is_term(check, facts, at(e),
                 check.terms.base(check.terms.term(node, graph_element(held, e)))))
      return false;
  return true;
}

void expect_input(PlanCheck& check, const PlanOp& op, std::size_t i, const Node& node,
                  std::size_t source) {
  check.checked += 1;
  const std::string& name = node.inputs.at(source);
  if (!holds(check, op.inputs.at(i), name))
    throw Difference{op.node, fmt::format("layer '{}': reads '{}', but the graph says '{}'",
                                          op.node, check.tensors[op.inputs[i]].name, name)};
}

}  // namespace lockstep::verify
