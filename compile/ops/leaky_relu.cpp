// x above zero, else fl(x * negative_slope). A float function, docs/arithmetic.md.
#include "compile/ops/lowering.h"

namespace lockstep::ops {

NodeValue lower_leaky_relu(Lowering& lowering) {
  return append(lowering, {{.kind = FloatStep::Kind::kLeakyRelu,
                            .a = static_cast<float>(lowering.node().number("negative_slope")),
                            .b = 0.0F}});
}

}  // namespace lockstep::ops
