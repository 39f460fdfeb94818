// Means over as many windows of (C,L) as asked for.
#include "compile/ops/window.h"

namespace lockstep::ops {

NodeValue lower_adaptive_avg_pool1d(Lowering& lowering) {
  return lower_adaptive_avg_pool(lowering);
}

}  // namespace lockstep::ops
