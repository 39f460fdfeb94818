// Batch norm over (C) or (C,L).
#include "compile/ops/batch_norm.h"

namespace lockstep::ops {

NodeValue lower_batch_norm1d(Lowering& lowering) {
  if (lowering.value().shape.logical_rank == 3)
    lowering.refuse("its input has shape " + lowering.shape_text() +
                    ", but batch_norm1d needs [C] or [C, L]");
  return lower_batch_norm(lowering);
}

}  // namespace lockstep::ops
