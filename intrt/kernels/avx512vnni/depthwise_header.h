// What the kernels of depthwise convolutions share.
#pragma once

#include "intrt/kernels/avx512vnni/convolution.h"

namespace intrt {
namespace {

inline bool is_depthwise(const Sizes& s) {
  return s.groups > 1 && s.group_inputs == 1 && s.group_outputs == 1;
}

// The output rows that the quads of four input rows serve; a slice has so many.
inline size_t rows_of_quads(const Sizes& s) {
  return s.kernel_h <= 4 && s.dilation_h == 1 ? (4 - s.kernel_h) / s.stride_h + 1 : 1;
}

// Prepared memory begins with this.
struct alignas(kVectorBytes) DepthwiseHeader {
  Bias bias;
  uint32_t post_count;

  // What becomes of the sums of 16 outputs each.
  const PostLanes* all_posts() const {
    return static_cast<const PostLanes*>(static_cast<const void*>(this + 1));
  }
  // Then come biases and weights.
  const uint8_t* numbers() const {
    return static_cast<const uint8_t*>(static_cast<const void*>(all_posts() + post_count));
  }
};

}  // namespace
}  // namespace intrt
