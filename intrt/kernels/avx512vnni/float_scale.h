// Scales as float32 functions, with the directions of rounding encoded in the instructions: they do
// not depend on what the program has set.
#pragma once

#include <immintrin.h>

#include "intrt/kernels/kernel.h"

namespace intrt {
namespace {

template <bool kTowardZero>
inline __m512i scaled_by_floats(__m512i x, __m512 multiplier, __m512 addend) {
  constexpr int kExact = _MM_FROUND_NO_EXC;
  constexpr int kDirection = (kTowardZero ? _MM_FROUND_TO_ZERO : _MM_FROUND_TO_NEG_INF) | kExact;
  const __m512 number = _mm512_cvt_roundepi32_ps(x, _MM_FROUND_TO_NEAREST_INT | kExact);
  return _mm512_cvt_roundps_epi32(_mm512_fmadd_round_ps(number, multiplier, addend, kDirection),
                                  kDirection);
}

constexpr bool kSumsAreNearest = false;
constexpr int kFloatsAtOnce = 16;
template <bool kTowardZero>
inline void codes_by_floats(const int32_t (&x)[kFloatsAtOnce], float multiplier, float addend,
                            int32_t (&codes)[kFloatsAtOnce]) {
  _mm512_storeu_si512(
      codes, scaled_by_floats<kTowardZero>(_mm512_loadu_si512(x), _mm512_set1_ps(multiplier),
                                           _mm512_set1_ps(addend)));
}

}  // namespace
}  // namespace intrt

#include "intrt/kernels/vector/float_scale.h"
