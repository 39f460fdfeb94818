#include "train/fake_quantize.h"

#include <algorithm>
#include <cmath>

#include "compile/support/error.h"

namespace lockstep::train {
namespace {

constexpr float kInt32End = 2147483648.0f;  // 2^31, the first float that does not fit

// The code as a float. Clamping comes first, which gives the same code (rounding is monotone and
// keeps integers) and makes the conversion to int32 defined for every input.
template <Rounding rounding>
float to_code(float product, float lo, float hi) {
  float v = product < kInt32End ? product : lo;
  v = v < lo ? lo : v;
  v = v > hi ? hi : v;
  const auto truncated = static_cast<std::int32_t>(v);
  if constexpr (rounding == Rounding::kTowardZero) return static_cast<float>(truncated);
  const std::int32_t below = truncated - (static_cast<float>(truncated) > v ? 1 : 0);
  if constexpr (rounding == Rounding::kFloor) return static_cast<float>(below);
  const float dropped = v - static_cast<float>(below);
  const bool up = dropped > 0.5f || (dropped == 0.5f && (below & 1) != 0);
  return static_cast<float>(below + (up ? 1 : 0));
}

// Calls work with the rounding mode as a compile-time constant, so that the loops vectorize.
template <typename Work>
void with_rounding(Rounding rounding, Work work) {
  switch (rounding) {
    case Rounding::kTowardZero:
      return work.template operator()<Rounding::kTowardZero>();
    case Rounding::kFloor:
      return work.template operator()<Rounding::kFloor>();
    case Rounding::kHalfEven:
      return work.template operator()<Rounding::kHalfEven>();
  }
  LOCKSTEP_ASSERT(false);
}

}  // namespace

FakeQuantizer::FakeQuantizer(std::span<const float> decimals, int bits, Rounding rounding,
                             std::int64_t inner)
    : rounding_(rounding), inner_(inner) {
  LOCKSTEP_ASSERT(bits >= 1 && bits <= 32 && !decimals.empty() && inner >= 1);
  const double lo = -std::ldexp(1.0, bits - 1), hi = std::ldexp(1.0, bits - 1) - 1;
  code_lo_ = static_cast<float>(lo);
  code_hi_ = static_cast<float>(hi);
  for (const float d : decimals) {
    const double inverse = std::exp2(-static_cast<double>(d));
    formats_.push_back({static_cast<float>(std::exp2(static_cast<double>(d))),
                        static_cast<float>(inverse), static_cast<float>(lo * inverse),
                        static_cast<float>(hi * inverse)});
  }
}

// Calls row(format, first, last) for the pieces of [begin, end) that share a channel.
template <typename Row>
void FakeQuantizer::for_each_row(std::int64_t begin, std::int64_t end, Row row) const {
  const auto channels = static_cast<std::int64_t>(formats_.size());
  if (channels == 1) return row(formats_[0], begin, end);
  while (begin < end) {
    const std::int64_t row_index = begin / inner_;
    const std::int64_t last = std::min(end, (row_index + 1) * inner_);
    row(formats_[static_cast<std::size_t>(row_index % channels)], begin, last);
    begin = last;
  }
}

bool FakeQuantizer::forward(const float* x, float* y, std::int64_t begin, std::int64_t end) const {
  const float lo = code_lo_, hi = code_hi_;
  std::int32_t outside = 0;
  with_rounding(rounding_, [&]<Rounding rounding>() {
    for_each_row(begin, end, [&](const Format& f, std::int64_t first, std::int64_t last) {
      const float scale = f.scale, inverse = f.inverse;
      std::int32_t row_outside = 0;
      for (std::int64_t i = first; i < last; ++i) {
        const float p = x[i] * scale;
        row_outside |= (p < kInt32End ? 0 : 1) | (p >= -kInt32End ? 0 : 1);
        y[i] = to_code<rounding>(p, lo, hi) * inverse;
      }
      outside |= row_outside;
    });
  });
  return outside == 0;
}

void FakeQuantizer::backward(const float* gy, float* gx, std::int64_t begin,
                             std::int64_t end) const {
  for_each_row(begin, end, [&](const Format& f, std::int64_t first, std::int64_t last) {
    const float lo = f.value_lo, hi = f.value_hi;
    for (std::int64_t i = first; i < last; ++i) {
      float g = gy[i];
      g = g < lo ? lo : g;  // comparisons with NaN are false, so NaN passes
      gx[i] = g > hi ? hi : g;
    }
  });
}

void FakeQuantizer::squared_error(const float* x, float* error, std::int64_t begin,
                                  std::int64_t end) const {
  const float lo = code_lo_, hi = code_hi_;
  with_rounding(rounding_, [&]<Rounding rounding>() {
    for_each_row(begin, end, [&](const Format& f, std::int64_t first, std::int64_t last) {
      const float scale = f.scale, inverse = f.inverse;
      for (std::int64_t i = first; i < last; ++i) {
        const float difference = x[i] - to_code<rounding>(x[i] * scale, lo, hi) * inverse;
        error[i] = difference * difference;
      }
    });
  });
}

}  // namespace lockstep::train
