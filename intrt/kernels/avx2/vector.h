// AVX2. It has no sum of products of bytes that cannot saturate (vpmaddubsw saturates at 16 bits);
// vpmaddwd adds two products of 16-bit numbers, so bands hold codes in 16 bits, and weights are
// widened when they are loaded.
#pragma once

#include "intrt/kernels/avx2/pairs.h"

namespace intrt {
namespace {

using Weight = int8_t;  // prepared

inline Vector load_weights(const Weight* weights) {
  return _mm256_cvtepi8_epi16(load_bytes(weights));
}
// Adds to each lane the sum of products of its kDepth codes with as many weights.
inline Vector dot(Vector acc, Vector codes, Vector weights) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(codes, weights));
}

}  // namespace
}  // namespace intrt
