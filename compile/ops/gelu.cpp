// fl(fl(x / 2) * fl(1 + fl(erf(fl(x * fl(sqrt(1/2))))))). A float function, docs/arithmetic.md.
#include "compile/ops/lowering.h"

namespace lockstep::ops {

NodeValue lower_gelu(Lowering& lowering) {
  return append(lowering, {{.kind = FloatStep::Kind::kGelu, .a = 0.0F, .b = 0.0F}});
}

}  // namespace lockstep::ops
