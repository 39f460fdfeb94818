// Which graph nodes an operator of the plan computes, and that it reads what the graph says.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "verify/proof/plan_check.h"
#include "verify/proof/plan_reader.h"

namespace lockstep::verify {

// Back through nodes that keep every element's value and its place in (C,H,W) order, softmax at an
// output among them (docs/ops/softmax.md).
std::string without_identities(const Graph& graph, std::string name);

// Whether `node` is `of` or something that `of` is computed from.
bool is_ancestor(const Graph& graph, std::string_view node, std::string_view of);

// Throws Difference unless the operator is named after a node on the way to or from what it writes,
// reads only what was computed before, and computes its output for the first time. Marks that as
// made.
void check_wiring(PlanCheck& check, const PlanOp& op);

// The graph node that the operator is named after; throws Difference unless its kind is one of
// `ops`. `found`: what the plan's operator computes, for the message.
const Node& expect_node(PlanCheck& check, const PlanOp& op,
                        std::initializer_list<std::string_view> ops, const std::string& found);

// Whether the tensor holds what the graph says of `name`: its value or the channels of it that the
// tensor's map lists, or of real values the exact integers behind them. Element by element, unless
// its name says so already.
bool holds(PlanCheck& check, std::uint32_t tensor, const std::string& name);

// Throws Difference unless input `i` of the operator holds what input `source` of the node is.
void expect_input(PlanCheck& check, const PlanOp& op, std::size_t i, const Node& node,
                  std::size_t source);

// Whether an element of a tensor holds this term: by name, or because both are the same constant.
bool is_term(const PlanCheck& check, const ElementFacts& facts, std::size_t element, Term term);

}  // namespace lockstep::verify
