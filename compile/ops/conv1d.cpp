// One-dimensional convolution: a two-dimensional one of height 1.
#include "compile/ops/convolution.h"

namespace lockstep::ops {

NodeValue lower_conv1d(Lowering& lowering) { return lower_convolution(lowering); }

}  // namespace lockstep::ops
