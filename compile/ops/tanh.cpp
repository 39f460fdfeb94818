// fl(tanh(x)). A float function, docs/arithmetic.md.
#include "compile/ops/lowering.h"

namespace lockstep::ops {

NodeValue lower_tanh(Lowering& lowering) {
  return append(lowering, {{.kind = FloatStep::Kind::kTanh, .a = 0.0F, .b = 0.0F}});
}

}  // namespace lockstep::ops
