// The tensors of a plan: each has the name of a graph node or input and that node's shape, or holds
// some of its channels; the network's inputs and outputs are the graph's, and whole.
#pragma once

#include "verify/proof/plan_check.h"

namespace lockstep::verify {

// Throws Difference. Fills `made` with the inputs, and `held` with their declared ranges.
void check_tensors(PlanCheck& check);

// What a named tensor claims to hold at `element` (in (C,H,W) order): the value of its node, or
// with offsets the exact integers behind that. Throws Difference where the claim itself is wrong:
// other offsets, or a real value without.
Term target_of(PlanCheck& check, std::uint32_t tensor, std::int64_t element);

// Throws Difference unless the tensor puts `element` (in (C,H,W) order) on the grid `expected`.
void expect_decimal(const VisibleTensor& tensor, std::int64_t element, int expected);

}  // namespace lockstep::verify
