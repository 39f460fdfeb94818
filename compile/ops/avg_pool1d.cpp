// Means over windows of (C,L).
#include "compile/ops/window.h"

namespace lockstep::ops {

NodeValue lower_avg_pool1d(Lowering& lowering) { return lower_avg_pool(lowering); }

}  // namespace lockstep::ops
