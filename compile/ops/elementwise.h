// Sums, differences and products of two values.
#pragma once

#include "compile/ops/lowering.h"

namespace lockstep::ops {

NodeValue lower_sum(Lowering& lowering, int sign);  // a + sign * b
NodeValue lower_product(Lowering& lowering);        // a * b

}  // namespace lockstep::ops
