// Batch norm over (C,H,W).
#include "compile/ops/batch_norm.h"

namespace lockstep::ops {

NodeValue lower_batch_norm2d(Lowering& lowering) {
  require_spatial(lowering, 2);
  return lower_batch_norm(lowering);
}

}  // namespace lockstep::ops
