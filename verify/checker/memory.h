// The memory plan of a plan.
#pragma once

#include "verify/checker/plan.h"

namespace lockstep::checker {

// Throws Failure unless every tensor lies in the arena and none is written over while it is still
// to be read. A tensor is needed from the operator that makes it (an input: from the start) to its
// last reader (an output: to the end). An operator that works element by element may write over an
// input of the same shape that dies with it and begins at the same byte, if its elements are not
// larger. Returns how many pairs of tensors were looked at that are needed at the same time.
Int check_memory(const Plan& plan);

}  // namespace lockstep::checker
