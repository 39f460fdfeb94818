// Q(x), its straight-through gradient and its squared error, as single loops over contiguous
// float32 data. No LibTorch here: the layers hand in plain pointers and split the range among
// threads.
//
//   Q(x) = clamp(round(x * 2^d), -2^(b-1), 2^(b-1)-1) * 2^-d
//
// x * 2^d is one float32 product. A product outside int32 (or NaN) becomes the lowest code, as the
// x86 conversion that QSPARSE relies on does; the loops report it, because a layer must refuse it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "compile/graph/graph.h"

namespace lockstep::train {

// One format per channel (or one for all). Element i belongs to channel (i / inner) % channels.
class FakeQuantizer {
 public:
  // `decimals` has one entry, or one per channel; non-integers are legal real scales. 1 <= bits
  // <= 32.
  FakeQuantizer(std::span<const float> decimals, int bits, Rounding rounding,
                std::int64_t inner = 1);

  // y[i] = Q(x[i]) for begin <= i < end; x may equal y. True when every x[i] * 2^d fits int32; when
  // not, the results are still defined (see above).
  bool forward(const float* x, float* y, std::int64_t begin, std::int64_t end) const;

  // Straight through: gx[i] = gy[i] clamped to the range of Q. Ignores whether x saturated; NaN
  // stays.
  void backward(const float* gy, float* gx, std::int64_t begin, std::int64_t end) const;

  // error[i] = (x[i] - Q(x[i]))^2 in float32.
  void squared_error(const float* x, float* error, std::int64_t begin, std::int64_t end) const;

 private:
  struct Format {
    float scale, inverse;      // 2^d, 2^-d
    float value_lo, value_hi;  // lowest and highest value of Q
  };
  template <typename Row>
  void for_each_row(std::int64_t begin, std::int64_t end, Row row) const;

  std::vector<Format> formats_;
  float code_lo_, code_hi_;
  Rounding rounding_;
  std::int64_t inner_;
};

}  // namespace lockstep::train
