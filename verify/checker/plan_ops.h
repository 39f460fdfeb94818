// The operators of a plan.
#pragma once

#include "verify/checker/plan.h"
#include "verify/checker/plan_bytes.h"

namespace lockstep::checker {

// Number `index`, whose record begins at `offset`, on tensors that have been read.
PlanOp read_op(PlanBytes& bytes, const std::vector<PlanTensor>& tensors, std::size_t index,
               std::size_t offset);

}  // namespace lockstep::checker
