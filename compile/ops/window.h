// Pooling windows along height and width, as PyTorch counts them.
#pragma once

#include "compile/ops/lowering.h"

namespace lockstep::ops {

struct PoolAxis {
  std::int64_t size = 1;  // of the input
  std::int64_t kernel = 1, stride = 1, padding = 0, dilation = 1;
  std::int64_t positions = 1;  // of the output

  std::int64_t reach() const { return dilation * (kernel - 1) + 1; }
};

// Axes 0 (height) and 1 (width) of a pooling node with one or two spatial axes. Refuses an input of
// another rank and windows that do not fit.
std::array<PoolAxis, 2> pool_axes(const Lowering& lowering);

NodeValue lower_max_pool(Lowering& lowering);           // max_pool1d, max_pool2d
NodeValue lower_avg_pool(Lowering& lowering);           // avg_pool1d, avg_pool2d
NodeValue lower_adaptive_avg_pool(Lowering& lowering);  // adaptive_avg_pool1d, adaptive_avg_pool2d

}  // namespace lockstep::ops
