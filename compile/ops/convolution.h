// What the four convolutions share; one-dimensional ones have height 1.
#pragma once

#include "compile/ops/lowering.h"

namespace lockstep::ops {

NodeValue lower_convolution(Lowering& lowering);             // conv1d, conv2d
NodeValue lower_transposed_convolution(Lowering& lowering);  // conv_transpose1d, conv_transpose2d

}  // namespace lockstep::ops
