// a * b.
#include "compile/ops/elementwise.h"

namespace lockstep::ops {

NodeValue lower_mul(Lowering& lowering) { return lower_product(lowering); }

}  // namespace lockstep::ops
