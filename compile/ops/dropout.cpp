// In evaluation dropout does nothing; its value is its input's.
#include "compile/ops/lowering.h"

namespace lockstep::ops {

ir::ValueId lower_dropout(Lowering& lowering) { return lowering.input_id(); }

}  // namespace lockstep::ops
