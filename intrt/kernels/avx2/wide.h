// AVX2: vpmaddwd, whose sum of two products is exact modulo 2^32.
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
