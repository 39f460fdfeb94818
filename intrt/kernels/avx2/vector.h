// AVX2. It has no sum of products of bytes that cannot saturate (vpmaddubsw saturates at 16 bits);
// vpmaddwd adds two products of 16-bit numbers, so bands hold codes in 16 bits, and weights are
// widened when they are loaded.
#pragma once

#include "intrt/kernels/avx2/lanes.h"

namespace intrt {
namespace {

constexpr size_t kDepth = 2;        // codes in a lane
using Code = int16_t;               // of a band
constexpr int32_t kCodeOffset = 0;  // that bands add to codes

// kLanes times the codes of one lane.
inline Vector broadcast_codes(const Code* codes) {
  int32_t pair;
  __builtin_memcpy(&pair, codes, 4);
  return _mm256_set1_epi32(pair);
}
// kLanes * kDepth codes, or weights.
inline Vector load_codes(const Code* codes) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(static_cast<const void*>(codes)));
}
inline Vector load_weights(const int8_t* weights) {
  return _mm256_cvtepi8_epi16(load_bytes(weights));
}
// Adds to each lane the sum of products of its kDepth codes with as many weights.
inline Vector dot(Vector acc, Vector codes, Vector weights) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(codes, weights));
}

// The codes of kDepth rows, 16 of each, on top of each other.
inline void stack(Code* to, const Bytes16 (&rows)[kDepth]) {
  const __m256i a = _mm256_cvtepi8_epi16(rows[0]), b = _mm256_cvtepi8_epi16(rows[1]);
  const __m256i low = _mm256_unpacklo_epi16(a, b), high = _mm256_unpackhi_epi16(a, b);
  __m256i* const out = static_cast<__m256i*>(static_cast<void*>(to));
  _mm256_storeu_si256(out, _mm256_permute2x128_si256(low, high, 0x20));
  _mm256_storeu_si256(out + 1, _mm256_permute2x128_si256(low, high, 0x31));
}

}  // namespace
}  // namespace intrt
