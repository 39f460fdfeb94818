// Max pooling over (C,H,W).
#include "compile/ops/window.h"

namespace lockstep::ops {

NodeValue lower_max_pool2d(Lowering& lowering) { return lower_max_pool(lowering); }

}  // namespace lockstep::ops
