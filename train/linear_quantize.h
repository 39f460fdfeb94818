// Q with autograd, on LibTorch tensors; the loops are in fake_quantize.h.
#pragma once

#include <torch/types.h>

#include "compile/graph/graph.h"

namespace lockstep::train {

// Q with per-tensor (one decimal) or per-channel decimals along `axis` (negative: the last axis).
// `decimals` is an int or float tensor. `fits` (may be null) is set to whether every
// x * 2^decimal fits int32. The result is float32; the gradient has x's dtype and is clamped to the
// range of Q, whether x saturated or not. The incoming gradient is not modified.
torch::Tensor linear_quantize(const torch::Tensor& x, const torch::Tensor& decimals, int bits,
                              std::int64_t axis, Rounding rounding, bool* fits = nullptr);

}  // namespace lockstep::train
