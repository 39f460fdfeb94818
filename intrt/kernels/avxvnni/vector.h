// AVX-VNNI: AVX2 with vpdpbusd, which multiplies unsigned by signed bytes, four at a time. So bands
// add 128 to codes, and biases take 128 times the sum of the weights off.
#pragma once

#include "intrt/kernels/avx2/lanes.h"

namespace intrt {
namespace {

constexpr size_t kDepth = 4;          // codes in a lane
using Code = uint8_t;                 // of a band
using Weight = int8_t;                // prepared
constexpr int32_t kCodeOffset = 128;  // that bands add to codes

// kLanes times the codes of one lane.
inline Vector broadcast_codes(const Code* codes) {
  int32_t quad;
  __builtin_memcpy(&quad, codes, 4);
  return _mm256_set1_epi32(quad);
}
// kLanes * kDepth codes, or weights.
inline Vector load_codes(const Code* codes) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(static_cast<const void*>(codes)));
}
inline Vector load_weights(const Weight* weights) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(static_cast<const void*>(weights)));
}
// Adds to each lane the sum of products of its kDepth codes with as many weights.
inline Vector dot(Vector acc, Vector codes, Vector weights) {
  return _mm256_dpbusd_avx_epi32(acc, codes, weights);
}

// The codes of kDepth rows, 16 of each, on top of each other.
inline void stack(Code* to, const int8_t* const (&rows)[kDepth]) {
  const __m128i bias = _mm_set1_epi8(static_cast<char>(0x80));
  const __m128i a = _mm_xor_si128(load_bytes(rows[0]), bias),
                b = _mm_xor_si128(load_bytes(rows[1]), bias),
                c = _mm_xor_si128(load_bytes(rows[2]), bias),
                d = _mm_xor_si128(load_bytes(rows[3]), bias);
  const __m128i low_ab = _mm_unpacklo_epi8(a, b), high_ab = _mm_unpackhi_epi8(a, b),
                low_cd = _mm_unpacklo_epi8(c, d), high_cd = _mm_unpackhi_epi8(c, d);
  store_bytes(to, _mm_unpacklo_epi16(low_ab, low_cd));
  store_bytes(to + 16, _mm_unpackhi_epi16(low_ab, low_cd));
  store_bytes(to + 32, _mm_unpacklo_epi16(high_ab, high_cd));
  store_bytes(to + 48, _mm_unpackhi_epi16(high_ab, high_cd));
}

}  // namespace
}  // namespace intrt
