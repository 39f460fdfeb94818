// Means over windows of (C,H,W).
#include "compile/ops/window.h"

namespace lockstep::ops {

NodeValue lower_avg_pool2d(Lowering& lowering) { return lower_avg_pool(lowering); }

}  // namespace lockstep::ops
