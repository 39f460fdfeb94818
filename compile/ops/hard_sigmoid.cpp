// fl(min(max(fl(x + 3), 0), 6) / 6). A float function, docs/arithmetic.md.
#include "compile/ops/lowering.h"

namespace lockstep::ops {

NodeValue lower_hard_sigmoid(Lowering& lowering) {
  return append(lowering, {{.kind = FloatStep::Kind::kHardSigmoid, .a = 0.0F, .b = 0.0F}});
}

}  // namespace lockstep::ops
