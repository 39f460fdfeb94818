// Weights of 16 bits with codes of 8 or 16, in pairs whose products one instruction adds up: what
// variants with AVX2 have in common. A wide.h includes this and defines `dot`.
#pragma once

#include "intrt/kernels/avx2/lanes.h"

namespace intrt {
namespace {

constexpr size_t kDepth = 2;                     // codes in a lane
using Code = int16_t;                            // of a band
using Weight = int16_t;                          // prepared
constexpr bool kSumsPairs = false;               // all sums have 32 bits
inline uint32_t code_offset(bool) { return 0; }  // that bands add to codes

// kLanes times the codes of one lane.
inline Vector broadcast_codes(const Code* codes) {
  int32_t pair;
  __builtin_memcpy(&pair, codes, 4);
  return _mm256_set1_epi32(pair);
}
// kLanes * kDepth codes.
inline Vector load_codes(const Code* codes) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(static_cast<const void*>(codes)));
}

inline void stack_pairs(Code* to, __m256i a, __m256i b) {
  const __m256i low = _mm256_unpacklo_epi16(a, b), high = _mm256_unpackhi_epi16(a, b);
  __m256i* const out = static_cast<__m256i*>(static_cast<void*>(to));
  _mm256_storeu_si256(out, _mm256_permute2x128_si256(low, high, 0x20));
  _mm256_storeu_si256(out + 1, _mm256_permute2x128_si256(low, high, 0x31));
}
inline Vector load_weights(const Weight* weights) { return load_codes(weights); }

// The codes of kDepth rows, 16 of each, on top of each other.
inline void stack(Code* to, const int8_t* const (&rows)[kDepth], uint32_t) {
  stack_pairs(to, _mm256_cvtepi8_epi16(load_bytes(rows[0])),
              _mm256_cvtepi8_epi16(load_bytes(rows[1])));
}
inline void stack(Code* to, const int16_t* const (&rows)[kDepth], uint32_t) {
  stack_pairs(to, load_codes(rows[0]), load_codes(rows[1]));
}

}  // namespace
}  // namespace intrt
