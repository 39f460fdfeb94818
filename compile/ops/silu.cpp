// fl(x / fl(1 + fl(exp(-x)))). A float function, docs/arithmetic.md.
#include "compile/ops/lowering.h"

namespace lockstep::ops {

NodeValue lower_silu(Lowering& lowering) {
  return append(lowering, {{.kind = FloatStep::Kind::kSilu, .a = 0.0F, .b = 0.0F}});
}

}  // namespace lockstep::ops
