// vpdpbusd on registers of 256 bits, for the kernels that avx512vnni shares with other variants.
#pragma once

#include "intrt/kernels/avx2/bytes.h"

namespace intrt {
namespace {

constexpr bool kSumsPairs = false;  // all sums have 32 bits

// Adds to each lane the sum of products of its kDepth codes with as many weights.
inline Vector dot(Vector acc, Vector codes, Vector weights) {
  return _mm256_dpbusd_epi32(acc, codes, weights);
}

}  // namespace
}  // namespace intrt
