// The operators of a plan and what they cost.
#pragma once

#include <vector>

#include "lockstep/model.h"

namespace lockstep {

// `prepared`: for the plan.
std::vector<OperatorInfo> operators_of(const intrt_plan& plan, const void* prepared);

}  // namespace lockstep
