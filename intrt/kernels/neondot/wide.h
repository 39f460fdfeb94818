// Weights of 16 bits with codes of 8 or 16: smlal multiplies four at a time, one for each lane.
#pragma once

#include "intrt/kernels/neondot/lanes.h"

namespace intrt {
namespace {

constexpr size_t kDepth = 1;                     // codes in a lane
using Code = int16_t;                            // of a band
using Weight = int16_t;                          // prepared
constexpr bool kSumsPairs = false;               // all sums have 32 bits
inline uint32_t code_offset(bool) { return 0; }  // that bands add to codes

using Words = int16x4_t;  // kLanes codes, or weights

inline Words broadcast_codes(const Code* codes) { return vdup_n_s16(*codes); }
inline Words load_codes(const Code* codes) { return vld1_s16(codes); }
inline Words load_weights(const Weight* weights) { return load_codes(weights); }
// Adds to each lane the product of its code with its weight.
inline Vector dot(Vector acc, Words codes, Words weights) { return vmlal_s16(acc, codes, weights); }

// The codes of kDepth rows, 16 of each, on top of each other: of a single one.
inline void stack(Code* to, const int8_t* const (&rows)[kDepth], uint32_t) {
  const Bytes16 codes = load_bytes(rows[0]);
  vst1q_s16(to, vmovl_s8(vget_low_s8(codes)));
  vst1q_s16(to + 8, vmovl_high_s8(codes));
}
inline void stack(Code* to, const int16_t* const (&rows)[kDepth], uint32_t) {
  vst1q_s16(to, vld1q_s16(rows[0]));
  vst1q_s16(to + 8, vld1q_s16(rows[0] + 8));
}

}  // namespace
}  // namespace intrt
