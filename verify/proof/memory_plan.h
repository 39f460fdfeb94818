// No live tensor overlaps another in the arena.
//
// An input lives from the start until its last reader has run; another tensor from the operator
// that makes it until its last reader has run; outputs live to the end. An operator that works
// element by element (requantize, table, add, mul) may write over an input of the output's shape in
// place when that dies with it.
#pragma once

#include "verify/differential/plan_runner.h"

namespace lockstep::verify {

// Throws Difference. Returns the number of arena offsets checked.
std::int64_t check_memory_plan(const OpenPlan& plan);

}  // namespace lockstep::verify
