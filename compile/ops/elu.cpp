// x above zero, else fl(fl(fl(exp(x)) - 1) * alpha). A float function, docs/arithmetic.md.
#include "compile/ops/lowering.h"

namespace lockstep::ops {

NodeValue lower_elu(Lowering& lowering) {
  return append(lowering, {{.kind = FloatStep::Kind::kElu,
                            .a = static_cast<float>(lowering.node().number("alpha")),
                            .b = 0.0F}});
}

}  // namespace lockstep::ops
