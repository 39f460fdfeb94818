// Codes and weights of 8 bits, four in a lane: what avx2 and avxvnni have in common. Their products
// take unsigned codes: where codes may be negative, bands add 128 to them, and biases take 128
// times the sum of the weights off. A vector.h includes this and defines `dot`.
#pragma once

#include "intrt/kernels/avx2/lanes.h"

namespace intrt {
namespace {

constexpr size_t kDepth = 4;  // codes in a lane
using Code = uint8_t;         // of a band
using Weight = int8_t;        // prepared
// What bands add to codes.
inline uint32_t code_offset(bool never_negative) { return never_negative ? 0 : 128; }

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

// A window: 16 codes, from which picked() takes those at the places in `places`, bytes of 0 to 15.
constexpr size_t kWindowCodes = 16;
inline Vector load_window(const Code* codes) {
  return _mm256_broadcastsi128_si256(
      _mm_loadu_si128(static_cast<const __m128i*>(static_cast<const void*>(codes))));
}
inline Vector picked(Vector window, Vector places) { return _mm256_shuffle_epi8(window, places); }

// The codes of kDepth rows, 16 of each, on top of each other; `offset`, 0 or 128, is added.
inline void stack(Code* to, const int8_t* const (&rows)[kDepth], uint32_t offset) {
  const __m128i flip = _mm_set1_epi8(static_cast<char>(offset));
  const __m128i a = _mm_xor_si128(load_bytes(rows[0]), flip),
                b = _mm_xor_si128(load_bytes(rows[1]), flip),
                c = _mm_xor_si128(load_bytes(rows[2]), flip),
                d = _mm_xor_si128(load_bytes(rows[3]), flip);
  const __m128i low_ab = _mm_unpacklo_epi8(a, b), high_ab = _mm_unpackhi_epi8(a, b),
                low_cd = _mm_unpacklo_epi8(c, d), high_cd = _mm_unpackhi_epi8(c, d);
  store_bytes(to, _mm_unpacklo_epi16(low_ab, low_cd));
  store_bytes(to + 16, _mm_unpackhi_epi16(low_ab, low_cd));
  store_bytes(to + 32, _mm_unpacklo_epi16(high_ab, high_cd));
  store_bytes(to + 48, _mm_unpackhi_epi16(high_ab, high_cd));
}

// 4 * kLanes codes of a row, or 16 each of two rows.
inline Vector load_rows(const int8_t* const (&rows)[1]) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(static_cast<const void*>(rows[0])));
}
inline Vector load_rows(const int8_t* const (&rows)[2]) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(load_bytes(rows[0])), load_bytes(rows[1]),
                                 1);
}
// Stacks such codes in registers, 16 by 16, so lane l of register q has those of column
// 16 * (l / 4) + 4 * q + l % 4. kOffset: 128 is added.
template <bool kOffset>
inline void stack4(const Vector (&rows)[kDepth], Vector (&stacked)[4]) {
  const auto row = [&rows](size_t k) {
    return kOffset ? _mm256_xor_si256(rows[k], _mm256_set1_epi8(-128)) : rows[k];
  };
  const Vector a = row(0), b = row(1), c = row(2), d = row(3);
  const Vector low_ab = _mm256_unpacklo_epi8(a, b), high_ab = _mm256_unpackhi_epi8(a, b),
               low_cd = _mm256_unpacklo_epi8(c, d), high_cd = _mm256_unpackhi_epi8(c, d);
  stacked[0] = _mm256_unpacklo_epi16(low_ab, low_cd);
  stacked[1] = _mm256_unpackhi_epi16(low_ab, low_cd);
  stacked[2] = _mm256_unpacklo_epi16(high_ab, high_cd);
  stacked[3] = _mm256_unpackhi_epi16(high_ab, high_cd);
}
inline void store_codes(Code* to, Vector codes) {
  _mm256_storeu_si256(static_cast<__m256i*>(static_cast<void*>(to)), codes);
}

}  // namespace
}  // namespace intrt
