// Transposed two-dimensional convolution.
#include "compile/ops/convolution.h"

namespace lockstep::ops {

NodeValue lower_conv_transpose2d(Lowering& lowering) {
  return lower_transposed_convolution(lowering);
}

}  // namespace lockstep::ops
