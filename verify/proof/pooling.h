// Poolings: the largest code of each window, and the sum of each window.
#pragma once

#include "verify/proof/plan_check.h"
#include "verify/proof/plan_reader.h"

namespace lockstep::verify {

// Each throws Difference, or NotUnderstood: every window, then what is done with the results. Fills
// `held` of the output.
void check_max_pool2d(PlanCheck& check, const PlanOp& op);
// The windows of an average pooling may be summed with any multipliers that bring all of them to
// one divisor, which the post-op divides by; a power of two more or less is a finer grid.
void check_avg_pool2d(PlanCheck& check, const PlanOp& op);

}  // namespace lockstep::verify
