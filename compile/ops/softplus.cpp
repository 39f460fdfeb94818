// fl(fl(log1p(fl(exp(fl(x * beta))))) / beta), and x itself where fl(x * beta) exceeds the
// threshold. A float function, docs/arithmetic.md.
#include "compile/ops/lowering.h"

namespace lockstep::ops {

NodeValue lower_softplus(Lowering& lowering) {
  return append(lowering, {{.kind = FloatStep::Kind::kSoftplus,
                            .a = static_cast<float>(lowering.node().number("beta")),
                            .b = static_cast<float>(lowering.node().number("threshold"))}});
}

}  // namespace lockstep::ops
