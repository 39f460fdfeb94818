// fl(1 / fl(1 + fl(exp(-x)))). A float function, docs/arithmetic.md.
#include "compile/ops/lowering.h"

namespace lockstep::ops {

NodeValue lower_sigmoid(Lowering& lowering) {
  return append(lowering, {{.kind = FloatStep::Kind::kSigmoid, .a = 0.0F, .b = 0.0F}});
}

}  // namespace lockstep::ops
