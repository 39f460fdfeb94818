// Two-dimensional convolution.
#include "compile/ops/convolution.h"

namespace lockstep::ops {

NodeValue lower_conv2d(Lowering& lowering) { return lower_convolution(lowering); }

}  // namespace lockstep::ops
