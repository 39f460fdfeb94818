// Max pooling over (C,L).
#include "compile/ops/window.h"

namespace lockstep::ops {

NodeValue lower_max_pool1d(Lowering& lowering) { return lower_max_pool(lowering); }

}  // namespace lockstep::ops
