// a + b.
#include "compile/ops/elementwise.h"

namespace lockstep::ops {

NodeValue lower_add(Lowering& lowering) { return lower_sum(lowering, 1); }

}  // namespace lockstep::ops
