// Arm NEON with the dot product of Armv8.2: sdot multiplies signed bytes, four at a time.
#pragma once

#include "intrt/kernels/neondot/lanes.h"

namespace intrt {
namespace {

constexpr size_t kDepth = 4;        // codes in a lane
using Code = int8_t;                // of a band
using Weight = int8_t;              // prepared
constexpr bool kSumsPairs = false;  // all sums have 32 bits
// Steps of the dense form that take as long as a pair of quads (linear_nonzeros.h).
constexpr size_t kStepsPerPair = 6;
inline uint32_t code_offset(bool) { return 0; }  // that bands add to codes

// kLanes times the codes of one lane.
inline Vector broadcast_codes(const Code* codes) {
  int32_t quad;
  __builtin_memcpy(&quad, codes, 4);
  return vdupq_n_s32(quad);
}
// kLanes * kDepth codes, or weights.
inline Vector load_codes(const Code* codes) { return vreinterpretq_s32_s8(vld1q_s8(codes)); }
inline Vector load_weights(const Weight* weights) { return load_codes(weights); }
// Adds to each lane the sum of products of its kDepth codes with as many weights.
inline Vector dot(Vector acc, Vector codes, Vector weights) {
  return vdotq_s32(acc, vreinterpretq_s8_s32(codes), vreinterpretq_s8_s32(weights));
}

// A window: 16 codes, from which picked() takes those at the places in `places`, bytes of 0 to 15.
constexpr size_t kWindowCodes = 16;
inline Vector load_window(const Code* codes) { return load_codes(codes); }
inline Vector picked(Vector window, Vector places) {
  return vreinterpretq_s32_s8(
      vqtbl1q_s8(vreinterpretq_s8_s32(window), vreinterpretq_u8_s32(places)));
}

// The codes of kDepth rows, 16 of each, on top of each other.
inline void stack(Code* to, const int8_t* const (&rows)[kDepth], uint32_t) {
  const int8x16x4_t stacked = {
      {load_bytes(rows[0]), load_bytes(rows[1]), load_bytes(rows[2]), load_bytes(rows[3])}};
  vst4q_s8(to, stacked);
}

// 16 codes of a row.
inline Vector load_rows(const int8_t* const (&rows)[1]) {
  return vreinterpretq_s32_s8(load_bytes(rows[0]));
}
// Stacks such codes in registers: lane l of register q has those of column 4 * q + l.
template <bool>
inline void stack4(const Vector (&rows)[kDepth], Vector (&stacked)[4]) {
  const auto row = [&rows](size_t k) { return vreinterpretq_s8_s32(rows[k]); };
  const int8x16x2_t ac = vzipq_s8(row(0), row(2)), bd = vzipq_s8(row(1), row(3));
  const int8x16x2_t low = vzipq_s8(ac.val[0], bd.val[0]), high = vzipq_s8(ac.val[1], bd.val[1]);
  const int8x16_t all[4] = {low.val[0], low.val[1], high.val[0], high.val[1]};
  for (size_t q = 0; q < 4; ++q) stacked[q] = vreinterpretq_s32_s8(all[q]);
}
inline void store_codes(Code* to, Vector codes) { vst1q_s8(to, vreinterpretq_s8_s32(codes)); }

}  // namespace
}  // namespace intrt
