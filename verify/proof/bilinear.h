// Bilinear upsampling by powers of two, which a plan computes as a transposed convolution of each
// channel: every output element is a sum of up to four input elements with fixed weights.
#pragma once

#include "verify/proof/plan_check.h"
#include "verify/proof/plan_reader.h"

namespace lockstep::verify {

// Throws Difference, or NotUnderstood: which input elements meet in every output element, and with
// which weights, then what is done with the sums. Fills `held` of the output.
void check_bilinear(PlanCheck& check, const PlanOp& op, const Node& node);

}  // namespace lockstep::verify
