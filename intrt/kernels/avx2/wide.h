// AVX2: vpmaddwd. Its sum of two products fits 32 bits, but for 2^31, of four numbers -2^15, which
// no plan has: the magnitudes of a plan's products stay below together.
#pragma once

#include "intrt/kernels/avx2/words.h"

namespace intrt {
namespace {

// Adds to each lane the sum of products of its kDepth codes with as many weights.
inline Vector dot(Vector acc, Vector codes, Vector weights) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(codes, weights));
}

}  // namespace
}  // namespace intrt
