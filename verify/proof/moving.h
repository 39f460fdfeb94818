// Moves: lists of copies. What was known about an element is known about its copy; where nothing is
// copied to, there is a 0.
#pragma once

#include "verify/proof/plan_check.h"
#include "verify/proof/plan_reader.h"

namespace lockstep::verify {

// Throws Difference, or NotUnderstood, and fills `held` of the output.
void check_move(PlanCheck& check, const PlanOp& op);

}  // namespace lockstep::verify
