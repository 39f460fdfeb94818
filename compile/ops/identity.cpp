// Does nothing; its value is its input's.
#include "compile/ops/lowering.h"

namespace lockstep::ops {

NodeValue lower_identity(Lowering& lowering) { return lowering.input(); }

}  // namespace lockstep::ops
