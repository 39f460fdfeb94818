// Weights and biases of the linear operators, and the range of their sums.
//
// A plan may put the accumulators of a channel on another power-of-two grid than the canonical one,
// as long as weights, bias and shift agree about it.
#pragma once

#include "verify/proof/plan_check.h"
#include "verify/proof/plan_reader.h"

namespace lockstep::verify {

// Each throws Difference, or NotUnderstood: geometry, every weight and bias, 32 bits for every
// accumulator, then what is done with the sums. Fills `held` of the output.
void check_conv2d(PlanCheck& check, const PlanOp& op);
void check_conv_transpose2d(PlanCheck& check, const PlanOp& op);
void check_linear(PlanCheck& check, const PlanOp& op);

}  // namespace lockstep::verify
