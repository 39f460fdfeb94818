// Batch norm in eval mode, in one or two dimensions.
#pragma once

#include "compile/ops/lowering.h"

namespace lockstep::ops {

NodeValue lower_batch_norm(Lowering& lowering);

}  // namespace lockstep::ops
