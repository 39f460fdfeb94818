// Q and masks with autograd, on LibTorch tensors. On the CPU in single passes (fake_quantize.h); on
// any other device as tensor operations, with the same bits.
#pragma once

#include <torch/types.h>

#include <cstdint>

#include "compile/graph/graph.h"
#include "train/fake_quantize.h"

namespace lockstep::train {

// The gradient of a weight that several processes share is their sum, and can be clamped only then.
enum class GradientRange : std::uint8_t { kClamped, kOpen };

// What stands around Q: Q(x * mask), Q(relu(x) * mask) or relu(Q(x * mask)).
struct AroundQuantize {
  // bool; its sizes are x's or 1, from the last axis on, as tensors broadcast. Undefined: no mask.
  torch::Tensor mask = {};
  Relu relu = Relu::kNone;
  GradientRange range = GradientRange::kClamped;  // kOpen: not with relu
};

// Q with per-tensor (one decimal) or per-channel decimals along `axis` (negative: the last axis).
// `decimals` is an int or float tensor. `fits` (may be null) is set to whether every
// x * 2^decimal fits int32. The result is float32; the gradient has x's dtype and, unless its range
// is kOpen, is clamped to the range of Q, whether x saturated or not. The incoming gradient is not
// modified.
torch::Tensor linear_quantize(const torch::Tensor& x, const torch::Tensor& decimals, int bits,
                              std::int64_t axis, Rounding rounding, bool* fits = nullptr,
                              const AroundQuantize& around = {});

// `gradient` of such an x, taken with kOpen, as kClamped would have made it.
torch::Tensor clamp_gradient(const torch::Tensor& gradient, const torch::Tensor& decimals, int bits,
                             std::int64_t axis);

// x * mask, of x's dtype: masked values become 0 or -0, masked NaN and infinity NaN. `mask` is as
// above.
torch::Tensor apply_mask(const torch::Tensor& x, const torch::Tensor& mask);

// The ways of devices other than the CPU, on any device.
namespace tensor_ops {
torch::Tensor quantize(const torch::Tensor& x, const torch::Tensor& decimals, int bits,
                       std::int64_t axis, Rounding rounding, bool* fits,
                       const AroundQuantize& around);
// The gradient of the above for the gradient `gy` of its output. `gate` as for FakeQuantizer.
torch::Tensor quantize_gradient(const torch::Tensor& gy, const torch::Tensor& gate,
                                const torch::Tensor& decimals, int bits, std::int64_t axis,
                                const AroundQuantize& around);
}  // namespace tensor_ops

}  // namespace lockstep::train
