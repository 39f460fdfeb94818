// Registers of 128 bits. A vector.h or wide.h includes this.
#pragma once

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

namespace intrt {
namespace {  // compiled for a variant's instructions, so nothing may be shared with other files

constexpr size_t kLanes = 4;
using Vector = int32x4_t;   // kLanes numbers of 32 bits
using Packed = uint32_t;    // as many bytes
using Bytes16 = int8x16_t;  // 16 codes

// The most windows of a tile with 1, 2 and 4 blocks of kLanes outputs: with weights and a code they
// are to fit 32 registers.
constexpr int kMostWindowsOf1 = 14, kMostWindowsOf2 = 12, kMostWindowsOf4 = 6;
constexpr size_t kFourBlocksUpTo = SIZE_MAX;  // windows beside each other

inline Vector load(const int32_t* from) { return vld1q_s32(from); }
inline void store(int32_t* to, Vector x) { vst1q_s32(to, x); }
inline void in_register(Vector& x) { __asm__("" : "+w"(x)); }  // is worked out here
inline Vector all(int32_t x) { return vdupq_n_s32(x); }
inline Vector add(Vector a, Vector b) { return vaddq_s32(a, b); }
inline Vector subtract(Vector a, Vector b) { return vsubq_s32(a, b); }
inline Vector multiply(Vector a, Vector b) { return vmulq_s32(a, b); }
inline Vector least(Vector a, Vector b) { return vminq_s32(a, b); }
inline Vector greatest(Vector a, Vector b) { return vmaxq_s32(a, b); }
inline Vector bits_in_both(Vector a, Vector b) { return vandq_s32(a, b); }
// -1 where a > b, else 0.
inline Vector greater(Vector a, Vector b) { return vreinterpretq_s32_u32(vcgtq_s32(a, b)); }
// -1 where a == b, else 0.
inline Vector equal(Vector a, Vector b) { return vreinterpretq_s32_u32(vceqq_s32(a, b)); }
// Shifts by 0..31, and by 32 where bits are shifted in.
inline Vector shift_right(Vector x, Vector by) { return vshlq_s32(x, vnegq_s32(by)); }
inline Vector shift_left(Vector x, Vector by) { return vshlq_s32(x, by); }
inline Vector shift_right_unsigned(Vector x, Vector by) {
  return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(x), vnegq_s32(by)));
}

inline Vector widen(Packed codes) {
  return vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(codes)))));
}

// Four vectors of codes, saturated to bytes.
using Packed4 = int8x16_t;
inline Packed4 load_packed4(const int8_t* from) { return vld1q_s8(from); }
inline void store_packed4(int8_t* to, Packed4 x) { vst1q_s8(to, x); }
// Saturated to 16 bits, and those to bytes.
using PackedWords = int16x8_t;
inline PackedWords pack_words(Vector a, Vector b) { return vqmovn_high_s32(vqmovn_s32(a), b); }
inline Packed4 pack_bytes(PackedWords ab, PackedWords cd) {
  return vqmovn_high_s16(vqmovn_s16(ab), cd);
}
inline Packed4 pack4(Vector a, Vector b, Vector c, Vector d) {
  return pack_bytes(pack_words(a, b), pack_words(c, d));
}
// The same: codes are stacked in order.
inline Packed4 pack_stacked(Vector a, Vector b, Vector c, Vector d) { return pack4(a, b, c, d); }
inline Packed4 clamped4(Packed4 x, Packed4 lo, Packed4 hi) { return vminq_s8(vmaxq_s8(x, lo), hi); }
// To 4 / V places, `step` apart.
template <int V>
inline void store_places(int8_t* to, size_t step, Packed4 x) {
  if (V == 4) return store_packed4(to, x);
  if (V == 2) {
    vst1_s8(to, vget_low_s8(x));
    vst1_s8(to + step, vget_high_s8(x));
    return;
  }
  const uint32x4_t words = vreinterpretq_u32_s8(x);
  const Packed each[4] = {vgetq_lane_u32(words, 0), vgetq_lane_u32(words, 1),
                          vgetq_lane_u32(words, 2), vgetq_lane_u32(words, 3)};
  for (size_t i = 0; i < 4; ++i) __builtin_memcpy(to + i * step, &each[i], sizeof(Packed));
}

inline Bytes16 load_bytes(const int8_t* from) { return vld1q_s8(from); }
inline void store_bytes(int8_t* to, Bytes16 x) { vst1q_s8(to, x); }
inline Bytes16 greatest_bytes(Bytes16 a, Bytes16 b) { return vmaxq_s8(a, b); }

// Scales as float32 functions. They round as FPCR says.
using Floats = float32x4_t;
inline Floats load(const float* from) { return vld1q_f32(from); }
// To nearest, and inexact results trap nothing.
inline bool floats_round_to_nearest() {
  uint64_t fpcr;
  __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
  return (fpcr & 0xC01000) == 0;
}
template <bool kTowardZero>
inline Vector scaled_by_floats(Vector x, Floats multiplier, Floats addend) {
  const Floats code = vfmaq_f32(addend, vcvtq_f32_s32(x), multiplier);
  return kTowardZero ? vcvtq_s32_f32(code) : vcvtmq_s32_f32(code);
}

// intrt_scale, saturated to 32 bits instead of clamped. Products are made in 64 bits, of the lower
// and of the upper lanes.
class Scale {
 public:
  Scale() = default;
  // shifts: 0..62.
  Scale(const int32_t (&multipliers)[kLanes], const int64_t (&addends)[kLanes],
        const int32_t (&shifts)[kLanes]) {
    for (size_t half = 0; half < 2; ++half) {
      multipliers_[half] = vld1_s32(multipliers + 2 * half);
      addends_[half] = vld1q_s64(addends + 2 * half);
      shifts_[half] = vnegq_s64(vmovl_s32(vld1_s32(shifts + 2 * half)));
    }
  }

  template <bool kTowardZero>
  Vector of(Vector x) const {
    return vcombine_s32(wide<kTowardZero>(vget_low_s32(x), 0),
                        wide<kTowardZero>(vget_high_s32(x), 1));
  }

 private:
  template <bool kTowardZero>
  int32x2_t wide(int32x2_t x, size_t half) const {
    int64x2_t y = vaddq_s64(vmull_s32(x, multipliers_[half]), addends_[half]);
    if (kTowardZero) {  // 2^shift - 1 where it is negative
      const int64x2_t not_below = vshlq_s64(vdupq_n_s64(-1), vnegq_s64(shifts_[half]));
      y = vaddq_s64(y, vbicq_s64(vshrq_n_s64(y, 63), not_below));
    }
    return vqmovn_s64(vshlq_s64(y, shifts_[half]));
  }

  int32x2_t multipliers_[2]{};
  int64x2_t addends_[2]{}, shifts_[2]{};  // shifts to the left, by -62..0
};

}  // namespace
}  // namespace intrt
