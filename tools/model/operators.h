// The operators of a plan and what they cost.
#pragma once

#include <vector>

#include "lockstep/model.h"

namespace lockstep {

std::vector<OperatorInfo> operators_of(const intrt_plan& plan);

}  // namespace lockstep
