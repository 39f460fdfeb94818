// AVX-512 VNNI: vpdpwssd, on registers of 256 bits.
#pragma once

#include "intrt/kernels/avx2/words.h"

namespace intrt {
namespace {

// Adds to each lane the sum of products of its kDepth codes with as many weights.
inline Vector dot(Vector acc, Vector codes, Vector weights) {
  return _mm256_dpwssd_epi32(acc, codes, weights);
}

}  // namespace
}  // namespace intrt
