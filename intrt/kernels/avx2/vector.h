// AVX2. Its product of bytes, vpmaddubsw, adds two products in 16 bits and saturates; so weights
// are prepared in such a way that no sum leaves these (pair_sums.h).
#pragma once

#include "intrt/kernels/avx2/bytes.h"

namespace intrt {
namespace {

constexpr bool kSumsPairs = true;  // in 16 bits first
// Steps of the dense form that take as long as a pair of quads (linear_nonzeros.h).
constexpr size_t kStepsPerPair = 4;

inline Vector pair_sums(Vector codes, Vector weights) {
  return _mm256_maddubs_epi16(codes, weights);
}
inline Vector add_pair_sums(Vector a, Vector b) { return _mm256_add_epi16(a, b); }
// Both sums of a lane.
inline Vector summed_up(Vector sums) { return _mm256_madd_epi16(sums, _mm256_set1_epi16(1)); }
inline Vector add_up(Vector acc, Vector sums) { return _mm256_add_epi32(acc, summed_up(sums)); }
// Adds to each lane the sum of products of its kDepth codes with as many weights.
inline Vector dot(Vector acc, Vector codes, Vector weights) {
  return add_up(acc, pair_sums(codes, weights));
}

}  // namespace
}  // namespace intrt
