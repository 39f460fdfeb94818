// Operators that work element by element: requantize, table, add, mul; and argmax, which works
// position by position.
#pragma once

#include "verify/proof/plan_check.h"
#include "verify/proof/plan_reader.h"

namespace lockstep::verify {

// Each throws Difference, or NotUnderstood, and fills `held` of the output.
void check_requantize(PlanCheck& check, const PlanOp& op);
void check_table(PlanCheck& check, const PlanOp& op);
void check_add(PlanCheck& check, const PlanOp& op);
void check_mul(PlanCheck& check, const PlanOp& op);
void check_argmax(PlanCheck& check, const PlanOp& op);

}  // namespace lockstep::verify
