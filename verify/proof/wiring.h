// Which graph nodes an operator of the plan computes, and that it reads what the graph says.
#pragma once

#include <vector>

#include "verify/proof/plan_check.h"
#include "verify/proof/plan_reader.h"

namespace lockstep::verify {

// A run of graph nodes that one operator of the plan computes, first to last.
using Chain = std::vector<const Node*>;

// From the node that the operator names to the one whose value it writes; Difference if the graph
// has no such chain.
Chain find_chain(const Graph& graph, const PlanOp& op, const VisibleTensor& output);

// Throws Difference unless the operator computes a chain of the graph from the tensor that the
// graph names, once, and after that tensor was made. Marks its output as made.
Chain check_wiring(PlanCheck& check, const PlanOp& op);

// Throws Difference unless the chain begins with a node of kind `found`, which the operator
// computes.
void expect_first_op(PlanCheck& check, const PlanOp& op, const Chain& chain,
                     const std::string& found);

// Whether the nodes from `from` on all keep every element's value and its place in (C,H,W) order.
bool only_identities(const Chain& chain, std::size_t from);

}  // namespace lockstep::verify
