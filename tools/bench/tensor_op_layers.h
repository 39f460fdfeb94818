// Quantization and the search for decimals written as chains of tensor operations, one pass over
// the data for each, as the Python library has them. Only what the fused loops are measured
// against.
#pragma once

#include <torch/types.h>

#include "train/sparse_options.h"

namespace lockstep::bench {

// Q with a straight-through gradient, as a QuantizeOptions callback.
torch::Tensor tensor_op_quantize(const torch::Tensor& x, std::int64_t bits,
                                 const torch::Tensor& decimals, std::int64_t axis);

// For each index of axis 0 of `rows`, the decimal in [lo, hi) with the least squared error.
std::vector<int> tensor_op_search(const torch::Tensor& rows, std::int64_t bits, int lo, int hi);

}  // namespace lockstep::bench
