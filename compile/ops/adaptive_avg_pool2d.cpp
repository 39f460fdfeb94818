// Means over as many windows of (C,H,W) as asked for.
#include "compile/ops/window.h"

namespace lockstep::ops {

NodeValue lower_adaptive_avg_pool2d(Lowering& lowering) {
  return lower_adaptive_avg_pool(lowering);
}

}  // namespace lockstep::ops
