// AVX-VNNI: AVX2 with vpdpbusd, which multiplies unsigned by signed bytes, four at a time.
#pragma once

#include "intrt/kernels/avx2/bytes.h"

namespace intrt {
namespace {

constexpr bool kSumsPairs = false;  // all sums have 32 bits
// Steps of the dense form that take as long as a pair of quads (linear_nonzeros.h).
constexpr size_t kStepsPerPair = 5;

// Adds to each lane the sum of products of its kDepth codes with as many weights.
inline Vector dot(Vector acc, Vector codes, Vector weights) {
  return _mm256_dpbusd_avx_epi32(acc, codes, weights);
}

}  // namespace
}  // namespace intrt
