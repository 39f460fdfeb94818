// Rows of codes on the stack, made unsigned: vpdpbusd multiplies unsigned by signed bytes.
#pragma once

#include <immintrin.h>

#include "intrt/kernels/vector/geometry.h"

namespace intrt {
namespace {

constexpr size_t kVectorBytes = 64;
// Of the copied rows; a convolution of which not even one window fits is left to other kernels.
constexpr size_t kBandBytes = 48 * 1024;

// What is added to codes to make them unsigned: 128 or, where none is negative, 0.
class Bias {
 public:
  explicit Bias(bool never_negative) : value_(never_negative ? 0 : 128) {}

  uint32_t value() const { return value_; }
  // An exclusive or with it adds it.
  __m512i flip() const { return _mm512_set1_epi8(static_cast<char>(value_)); }

  // Copies codes and adds to each.
  void copy(uint8_t* to, const int8_t* from, size_t count) const {
    size_t i = 0;
    for (; i + kVectorBytes <= count; i += kVectorBytes)
      _mm512_storeu_si512(to + i, _mm512_xor_si512(_mm512_loadu_si512(from + i), flip()));
    if (i == count) return;
    const __mmask64 rest = (uint64_t{1} << (count - i)) - 1;
    _mm512_mask_storeu_epi8(to + i, rest,
                            _mm512_xor_si512(_mm512_maskz_loadu_epi8(rest, from + i), flip()));
  }
  // As many codes 0.
  void fill(uint8_t* to, size_t count) const {
    size_t i = 0;
    for (; i + kVectorBytes <= count; i += kVectorBytes) _mm512_storeu_si512(to + i, flip());
    if (i < count) _mm512_mask_storeu_epi8(to + i, (uint64_t{1} << (count - i)) - 1, flip());
  }

 private:
  uint32_t value_;
};

// Input rows y0 .. and columns x0 .. under a number of windows, those outside the input 0.
// `to` holds rows * columns * channels bytes.
inline void copy_band(const Sizes& s, const Bias& bias, const int8_t* input, ptrdiff_t y0,
                      size_t rows, ptrdiff_t x0, size_t columns, uint8_t* to) {
  const ColumnParts parts(x0, columns, s.width);
  const size_t before = parts.before * s.channels, inside = parts.inside * s.channels;
  const size_t row_bytes = columns * s.channels;
  for (size_t r = 0; r < rows; ++r, to += row_bytes) {
    const ptrdiff_t y = y0 + static_cast<ptrdiff_t>(r);
    if (y < 0 || y >= static_cast<ptrdiff_t>(s.height) || inside == 0) {
      bias.fill(to, row_bytes);
      continue;
    }
    bias.fill(to, before);
    bias.copy(to + before, input + (static_cast<size_t>(y) * s.width + parts.first) * s.channels,
              inside);
    bias.fill(to + before + inside, parts.after * s.channels);
  }
}

}  // namespace
}  // namespace intrt
