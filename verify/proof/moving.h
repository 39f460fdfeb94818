// Operators that compute nothing new: max pooling picks one of its codes, a transpose only moves
// them. What was known about the input is known about the output.
#pragma once

#include "verify/proof/plan_check.h"
#include "verify/proof/plan_reader.h"
#include "verify/proof/wiring.h"

namespace lockstep::verify {

// Each throws Difference, or NotUnderstood, and fills `held` of the output.
void check_max_pool2d(PlanCheck& check, const PlanOp& op, const Chain& chain,
                      const VisibleTensor& input, const VisibleTensor& output);
void check_transpose(PlanCheck& check, const PlanOp& op, const Chain& chain,
                     const VisibleTensor& input, const VisibleTensor& output);

}  // namespace lockstep::verify
