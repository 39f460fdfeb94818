// Additions of bytes whose channels are alike, 32 at a time. Include avx2/lanes.h before.
#pragma once

#include "intrt/kernels/vector/codes.h"
#include "intrt/kernels/vector/short_sums.h"

namespace intrt {
namespace {

template <bool kTowardZero>
void add_bytes(const ShortSums& sums, const int8_t* a, const int8_t* b, size_t count, int8_t* to) {
  const __m256i multipliers = _mm256_set1_epi16(sums.multipliers());
  const __m256i lo = _mm256_set1_epi8(static_cast<int8_t>(sums.post.lo)),
                hi = _mm256_set1_epi8(static_cast<int8_t>(sums.post.hi));
  const __m128i shift = _mm_cvtsi32_si128(sums.shift), left = _mm_cvtsi32_si128(16 - sums.shift);
  const auto shifted = [&](__m256i pairs) {
    __m256i x = _mm256_maddubs_epi16(multipliers, pairs);
    if (kTowardZero) x = _mm256_add_epi16(x, _mm256_srl_epi16(_mm256_srai_epi16(x, 15), left));
    return _mm256_sra_epi16(x, shift);
  };
  const auto codes = [&](const int8_t* from_a, const int8_t* from_b) {
    const __m256i of_a = load_packed4(from_a), of_b = load_packed4(from_b);
    const __m256i all = _mm256_packs_epi16(shifted(_mm256_unpacklo_epi8(of_a, of_b)),
                                           shifted(_mm256_unpackhi_epi8(of_a, of_b)));
    return clamped4(all, lo, hi);
  };
  constexpr size_t kBytes = 4 * kLanes;
  const size_t rest = count % kBytes, whole = count - rest;
  for (size_t i = 0; i < whole; i += kBytes) store_packed4(to + i, codes(a + i, b + i));
  if (rest == 0) return;
  int8_t last_a[kBytes] = {}, last_b[kBytes] = {};
  copy_bytes(last_a, a + whole, rest);
  copy_bytes(last_b, b + whole, rest);
  store_packed4(last_a, codes(last_a, last_b));
  copy_bytes(to + whole, last_a, rest);
}

bool add_alike(const OpToRun& op, const int32_t* multipliers, size_t begin, size_t count) {
  return add_short_sums(op, multipliers, begin, count, add_bytes<false>, add_bytes<true>);
}

}  // namespace
}  // namespace intrt
