/* Sums of products, and what becomes of them, on 64-bit Arm cores with dot products of bytes
 * (Armv8.2 and later). Valid as C99; on other cores the same functions are plain C with the same
 * results. Generated C takes in this text.
 *
 * A *block* of weights holds those of four output channels, in units of 4 taps: tap t of channel c
 * is number 16 * (t / 4) + 4 * c + t % 4. Sums are those of its channels at up to eight positions:
 * channel c at position p is number 4 * p + c. */
#ifndef INTRT_MICRO_NEON_H_
#define INTRT_MICRO_NEON_H_

#include <stdint.h>
#include <string.h>

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD) && !defined(__ARM_BIG_ENDIAN)
#define INTRT_HAS_NEON 1
#include <arm_neon.h>
#else
#define INTRT_HAS_NEON 0
#endif

#if INTRT_HAS_NEON
/* `act` for each position; what is not there is left out where `positions` is known. */
#define INTRT_NEON_IF(p, act) \
  if (positions > (p)) {      \
    act(p)                    \
  }
#define INTRT_NEON_EACH(act)                                                                     \
  act(0) INTRT_NEON_IF(1, act) INTRT_NEON_IF(2, act) INTRT_NEON_IF(3, act) INTRT_NEON_IF(4, act) \
      INTRT_NEON_IF(5, act) INTRT_NEON_IF(6, act) INTRT_NEON_IF(7, act)

/* Four taps, as often as it takes to fill a vector. */
INTRT_ALWAYS_INLINE int8x16_t intrt_neon_unit(const int8_t* codes) {
  int32_t unit;
  memcpy(&unit, codes, 4);
  return vreinterpretq_s8_s32(vdupq_n_s32(unit));
}
#endif

/* sums[4 * p + c] = start[c] + the products of channel c and position p < positions, over `rows`
 * rows of 4 * units taps: the code of tap t of row r at position p is codes[apart * p + row_step *
 * r + t], and the weights of a row follow those of the one before. 1 <= positions <= 8, units >= 1.
 * No sum leaves 32 bits on the way, in whatever order the products come. */
INTRT_ALWAYS_INLINE void intrt_neon_dot(int32_t* sums, const int32_t* start, const int8_t* codes,
                                        int32_t apart, int32_t row_step, const int8_t* weights,
                                        int32_t rows, int32_t units, int32_t positions) {
#if INTRT_HAS_NEON
  const int32x4_t begin = vld1q_s32(start);
  int32x4_t s0 = begin, s1 = begin, s2 = begin, s3 = begin, s4 = begin, s5 = begin, s6 = begin,
            s7 = begin;
  for (; rows > 0; --rows) {
    const int8_t* x = codes;
    for (int32_t i = units >> 2; i > 0; --i) {
      const int8x16x4_t w = vld1q_s8_x4(weights);
#define INTRT_NEON_GROUP(p)                          \
  {                                                  \
    const int8x16_t code = vld1q_s8(x + apart * p);  \
    s##p = vdotq_laneq_s32(s##p, w.val[0], code, 0); \
    s##p = vdotq_laneq_s32(s##p, w.val[1], code, 1); \
    s##p = vdotq_laneq_s32(s##p, w.val[2], code, 2); \
    s##p = vdotq_laneq_s32(s##p, w.val[3], code, 3); \
  }
      INTRT_NEON_EACH(INTRT_NEON_GROUP)
#undef INTRT_NEON_GROUP
      weights += 64;
      x += 16;
    }
    for (int32_t i = units & 3; i > 0; --i) {
      const int8x16_t w = vld1q_s8(weights);
#define INTRT_NEON_UNIT(p) s##p = vdotq_s32(s##p, w, intrt_neon_unit(x + apart * p));
      INTRT_NEON_EACH(INTRT_NEON_UNIT)
#undef INTRT_NEON_UNIT
      weights += 16;
      x += 4;
    }
    codes += row_step;
  }
#define INTRT_NEON_SUM(p) vst1q_s32(sums + 4 * p, s##p);
  INTRT_NEON_EACH(INTRT_NEON_SUM)
#undef INTRT_NEON_SUM
#else
  for (int32_t p = 0; p < positions; ++p)
    for (int32_t c = 0; c < 4; ++c) {
      int32_t sum = start[c];
      for (int32_t r = 0; r < rows; ++r)
        for (int32_t t = 0; t < 4 * units; ++t)
          sum += (int32_t)codes[apart * p + row_step * r + t] *
                 weights[16 * (units * r + (t >> 2)) + 4 * c + (t & 3)];
      sums[4 * p + c] = sum;
    }
#endif
}

/* The same with weights of 16 bits, as a + 256 * b, both of 8 bits: those of tap t of channel c are
 * numbers 32 * (t / 4) + 4 * c + t % 4 and, b, 16 further on. */
INTRT_ALWAYS_INLINE void intrt_neon_wide_dot(int32_t* sums, const int32_t* start,
                                             const int8_t* codes, int32_t apart, int32_t row_step,
                                             const int8_t* weights, int32_t rows, int32_t units,
                                             int32_t positions) {
#if INTRT_HAS_NEON
  const int32x4_t begin = vld1q_s32(start), zero = vdupq_n_s32(0);
  int32x4_t s0 = begin, s1 = begin, s2 = begin, s3 = begin, s4 = begin, s5 = begin, s6 = begin,
            s7 = begin;
  int32x4_t h0 = zero, h1 = zero, h2 = zero, h3 = zero, h4 = zero, h5 = zero, h6 = zero, h7 = zero;
  for (; rows > 0; --rows) {
    const int8_t* x = codes;
    for (int32_t i = units >> 2; i > 0; --i) {
      const int8x16x4_t v = vld1q_s8_x4(weights), w = vld1q_s8_x4(weights + 64);
#define INTRT_NEON_GROUP(p)                          \
  {                                                  \
    const int8x16_t code = vld1q_s8(x + apart * p);  \
    s##p = vdotq_laneq_s32(s##p, v.val[0], code, 0); \
    h##p = vdotq_laneq_s32(h##p, v.val[1], code, 0); \
    s##p = vdotq_laneq_s32(s##p, v.val[2], code, 1); \
    h##p = vdotq_laneq_s32(h##p, v.val[3], code, 1); \
    s##p = vdotq_laneq_s32(s##p, w.val[0], code, 2); \
    h##p = vdotq_laneq_s32(h##p, w.val[1], code, 2); \
    s##p = vdotq_laneq_s32(s##p, w.val[2], code, 3); \
    h##p = vdotq_laneq_s32(h##p, w.val[3], code, 3); \
  }
      INTRT_NEON_EACH(INTRT_NEON_GROUP)
#undef INTRT_NEON_GROUP
      weights += 128;
      x += 16;
    }
    for (int32_t i = units & 3; i > 0; --i) {
      const int8x16_t v = vld1q_s8(weights), w = vld1q_s8(weights + 16);
#define INTRT_NEON_UNIT(p)                                 \
  {                                                        \
    const int8x16_t code = intrt_neon_unit(x + apart * p); \
    s##p = vdotq_s32(s##p, v, code);                       \
    h##p = vdotq_s32(h##p, w, code);                       \
  }
      INTRT_NEON_EACH(INTRT_NEON_UNIT)
#undef INTRT_NEON_UNIT
      weights += 32;
      x += 4;
    }
    codes += row_step;
  }
#define INTRT_NEON_SUM(p) vst1q_s32(sums + 4 * p, vaddq_s32(s##p, vshlq_n_s32(h##p, 8)));
  INTRT_NEON_EACH(INTRT_NEON_SUM)
#undef INTRT_NEON_SUM
#else
  for (int32_t p = 0; p < positions; ++p)
    for (int32_t c = 0; c < 4; ++c) {
      int32_t sum = start[c];
      for (int32_t r = 0; r < rows; ++r)
        for (int32_t t = 0; t < 4 * units; ++t) {
          const int8_t* weight = weights + 32 * (units * r + (t >> 2)) + 4 * c + (t & 3);
          sum += (int32_t)codes[apart * p + row_step * r + t] * (weight[0] + 256 * weight[16]);
        }
      sums[4 * p + c] = sum;
    }
#endif
}

/* to[i] = codes[i - begin] where begin <= i < end, else 0, for 0 <= i < count. begin >= 0. */
INTRT_INLINE void intrt_neon_row(int8_t* to, int32_t count, const int8_t* codes, int32_t begin,
                                 int32_t end) {
#if INTRT_HAS_NEON
  int32_t n;
  if (begin > count) begin = count;
  if (end > count) end = count;
  n = end > begin ? end - begin : 0;
  if (n < count) {
    const int8x16_t zero = vdupq_n_s8(0);
    if (count >= 16) {
      for (int32_t i = 0; i < count - 16; i += 16) vst1q_s8(to + i, zero);
      vst1q_s8(to + count - 16, zero);
    } else {
      memset(to, 0, (uint32_t)count);
    }
  }
  to += begin;
  if (n >= 16) {
    for (int32_t i = 0; i < n - 16; i += 16) vst1q_s8(to + i, vld1q_s8(codes + i));
    vst1q_s8(to + n - 16, vld1q_s8(codes + n - 16));
  } else if (n >= 8) {
    const int8x8_t first = vld1_s8(codes), last = vld1_s8(codes + n - 8);
    vst1_s8(to, first);
    vst1_s8(to + n - 8, last);
  } else if (n >= 4) {
    int32_t first, last;
    memcpy(&first, codes, 4);
    memcpy(&last, codes + n - 4, 4);
    memcpy(to, &first, 4);
    memcpy(to + n - 4, &last, 4);
  } else {
    for (int32_t i = 0; i < n; ++i) to[i] = codes[i];
  }
#else
  for (int32_t i = 0; i < count; ++i)
    to[i] = (int8_t)(i >= begin && i < end ? codes[i - begin] : 0);
#endif
}

#if INTRT_HAS_NEON
/* floor(x * multiplier / 2^32) + addend. */
INTRT_ALWAYS_INLINE int32x4_t intrt_neon_top(int32x4_t x, int32x4_t multiplier, int32x4_t addend) {
  return vsraq_n_s32(addend, vqdmulhq_s32(x, multiplier), 1);
}

/* Two vectors of sums, limited to 8 bits and to lo .. hi, as four codes at `out` and at out1. */
INTRT_ALWAYS_INLINE void intrt_neon_narrow(int8_t* out, int8_t* out1, int32x4_t v0, int32x4_t v1,
                                           int32_t lo, int32_t hi) {
  int8x8_t code = vqmovn_s16(vqmovn_high_s32(vqmovn_s32(v0), v1));
  int32_t four;
  if (lo > -128) code = vmax_s8(code, vdup_n_s8((int8_t)lo));
  if (hi < 127) code = vmin_s8(code, vdup_n_s8((int8_t)hi));
  four = vget_lane_s32(vreinterpret_s32_s8(code), 0);
  memcpy(out, &four, 4);
  four = vget_lane_s32(vreinterpret_s32_s8(code), 1);
  memcpy(out1, &four, 4);
}
#define INTRT_NEON_PAIRS(act) \
  act(0) INTRT_NEON_IF(2, act) INTRT_NEON_IF(4, act) INTRT_NEON_IF(6, act)
#define INTRT_NEON_SECOND(p) ((p) + 1 < positions ? (p) + 1 : (p))
#endif

/* The codes of sums: out[apart * p + c] = clamp(floor(sums[4 * p + c] * constants[c] / 2^32) +
 * constants[4 + c], lo, hi) for 4 channels c at the positions p < positions: intrt_scale_top of
 * each. -128 <= lo <= hi <= 127, 1 <= positions <= 8, multipliers are more than -2^31. */
INTRT_ALWAYS_INLINE void intrt_neon_store(int8_t* out, int32_t apart, const int32_t* sums,
                                          const int32_t* constants, int32_t lo, int32_t hi,
                                          int32_t positions) {
#if INTRT_HAS_NEON
  const int32x4_t multiplier = vld1q_s32(constants), addend = vld1q_s32(constants + 4);
#define INTRT_NEON_PAIR(p)                                           \
  intrt_neon_narrow(                                                 \
      out + apart * (p), out + apart * INTRT_NEON_SECOND(p),         \
      intrt_neon_top(vld1q_s32(sums + 4 * (p)), multiplier, addend), \
      intrt_neon_top(vld1q_s32(sums + 4 * INTRT_NEON_SECOND(p)), multiplier, addend), lo, hi);
  INTRT_NEON_PAIRS(INTRT_NEON_PAIR)
#undef INTRT_NEON_PAIR
#else
  for (int32_t p = 0; p < positions; ++p)
    for (int32_t c = 0; c < 4; ++c)
      out[apart * p + c] =
          (int8_t)intrt_scale_top(sums[4 * p + c], constants[c], constants[4 + c], lo, hi);
#endif
}

/* clamp(max(f, min(g, 0)), lo, hi) with f = floor(x * multiplier / 2^32) + down, the quotient
 * rounded down, and g = floor((x + offset) * multiplier / 2^32) + up, the quotient rounded up.
 * |down|, |up| <= 2^30, x + offset fits 32 bits. */
INTRT_INLINE int32_t intrt_neon_toward_zero(int32_t x, int32_t multiplier, int32_t down,
                                            int32_t offset, int32_t up, int32_t lo, int32_t hi) {
  const int32_t f = (int32_t)(((int64_t)x * multiplier) >> 32) + down;
  const int32_t g = (int32_t)(((int64_t)(x + offset) * multiplier) >> 32) + up;
  const int32_t least = g < 0 ? g : 0;
  return intrt_clamp(f > least ? f : least, lo, hi);
}

#if INTRT_HAS_NEON
/* The same for four channels whose numbers are `step` apart, without the clamp. */
INTRT_ALWAYS_INLINE int32x4_t intrt_neon_rounded(int32x4_t x, const int32_t* constants,
                                                 int32_t step) {
  const int32x4_t multiplier = vld1q_s32(constants), down = vld1q_s32(constants + step);
  const int32x4_t offset = vld1q_s32(constants + 2 * step), up = vld1q_s32(constants + 3 * step);
  const int32x4_t g = intrt_neon_top(vaddq_s32(x, offset), multiplier, up);
  return vmaxq_s32(intrt_neon_top(x, multiplier, down), vminq_s32(g, vdupq_n_s32(0)));
}
#endif

/* The same, rounded toward zero: out[apart * p + c] is intrt_neon_toward_zero of sums[4 * p + c],
 * constants[c], constants[4 + c], constants[8 + c], constants[12 + c], lo and hi. */
INTRT_ALWAYS_INLINE void intrt_neon_store_toward_zero(int8_t* out, int32_t apart,
                                                      const int32_t* sums, const int32_t* constants,
                                                      int32_t lo, int32_t hi, int32_t positions) {
#if INTRT_HAS_NEON
#define INTRT_NEON_PAIR(p)                                                                        \
  intrt_neon_narrow(out + apart * (p), out + apart * INTRT_NEON_SECOND(p),                        \
                    intrt_neon_rounded(vld1q_s32(sums + 4 * (p)), constants, 4),                  \
                    intrt_neon_rounded(vld1q_s32(sums + 4 * INTRT_NEON_SECOND(p)), constants, 4), \
                    lo, hi);
  INTRT_NEON_PAIRS(INTRT_NEON_PAIR)
#undef INTRT_NEON_PAIR
#else
  for (int32_t p = 0; p < positions; ++p)
    for (int32_t c = 0; c < 4; ++c)
      out[apart * p + c] =
          (int8_t)intrt_neon_toward_zero(sums[4 * p + c], constants[c], constants[4 + c],
                                         constants[8 + c], constants[12 + c], lo, hi);
#endif
}

/* ---- each channel by itself ---- */

/* The sum of channel c < channels is start[c] + the products of codes[row_step * r + column_step *
 * k + c] and weights[weight_step * r + 16 * k + c] over the rows r < rows and columns k < columns.
 * The sum of a channel's products fits 16 bits (those on the way need not), the sum 32. 1 <=
 * channels <= 16; `start` may be `sums`, both have 16 numbers; sums of other channels have no
 * meaning. */
INTRT_ALWAYS_INLINE void intrt_neon_channels_dot(int32_t* sums, const int32_t* start,
                                                 const int8_t* codes, int32_t row_step,
                                                 int32_t column_step, const int8_t* weights,
                                                 int32_t weight_step, int32_t rows, int32_t columns,
                                                 int32_t channels) {
#if INTRT_HAS_NEON
  int16x8_t low = vdupq_n_s16(0), high = low;
  for (; rows > 0; --rows) {
    const int8_t *x = codes, *w = weights;
    for (int32_t k = 0; k < columns; ++k) {
      const int8x16_t weight = vld1q_s8(w);
      int8x16_t code;
      if (channels == 16) {
        code = vld1q_s8(x);
      } else if (channels == 8) {
        code = vcombine_s8(vld1_s8(x), vdup_n_s8(0));
      } else {
        int8_t some[16] = {0};
        memcpy(some, x, (uint32_t)channels);
        code = vld1q_s8(some);
      }
      low = vmlal_s8(low, vget_low_s8(code), vget_low_s8(weight));
      high = vmlal_high_s8(high, code, weight);
      x += column_step;
      w += 16;
    }
    codes += row_step;
    weights += weight_step;
  }
  vst1q_s32(sums, vaddw_s16(vld1q_s32(start), vget_low_s16(low)));
  vst1q_s32(sums + 4, vaddw_high_s16(vld1q_s32(start + 4), low));
  vst1q_s32(sums + 8, vaddw_s16(vld1q_s32(start + 8), vget_low_s16(high)));
  vst1q_s32(sums + 12, vaddw_high_s16(vld1q_s32(start + 12), high));
#else
  for (int32_t c = 0; c < channels; ++c) {
    int32_t sum = start[c];
    for (int32_t r = 0; r < rows; ++r)
      for (int32_t k = 0; k < columns; ++k)
        sum += (int32_t)codes[row_step * r + column_step * k + c] *
               weights[weight_step * r + 16 * k + c];
    sums[c] = sum;
  }
#endif
}

#if INTRT_HAS_NEON
/* Four vectors of sums, limited to 8 bits and to lo .. hi, as the codes of 16 channels. */
INTRT_ALWAYS_INLINE void intrt_neon_channels_narrow(int8_t* out, int32x4_t v0, int32x4_t v1,
                                                    int32x4_t v2, int32x4_t v3, int32_t lo,
                                                    int32_t hi, int32_t channels) {
  const int16x8_t low = vqmovn_high_s32(vqmovn_s32(v0), v1);
  const int16x8_t high = vqmovn_high_s32(vqmovn_s32(v2), v3);
  int8x16_t code = vqmovn_high_s16(vqmovn_s16(low), high);
  if (lo > -128) code = vmaxq_s8(code, vdupq_n_s8((int8_t)lo));
  if (hi < 127) code = vminq_s8(code, vdupq_n_s8((int8_t)hi));
  if (channels == 16)
    vst1q_s8(out, code);
  else
    memcpy(out, &code, (uint32_t)channels);
}
#endif

/* The codes of such sums: for channel c < channels out[c] = clamp(floor(sums[c] * constants[c] /
 * 2^32) + constants[16 + c], lo, hi): intrt_scale_top. -128 <= lo <= hi <= 127, multipliers are
 * more than -2^31. */
INTRT_ALWAYS_INLINE void intrt_neon_channels_store(int8_t* out, const int32_t* sums,
                                                   const int32_t* constants, int32_t lo, int32_t hi,
                                                   int32_t channels) {
#if INTRT_HAS_NEON
#define INTRT_NEON_CODES(i)                                                 \
  intrt_neon_top(vld1q_s32(sums + 4 * (i)), vld1q_s32(constants + 4 * (i)), \
                 vld1q_s32(constants + 16 + 4 * (i)))
  intrt_neon_channels_narrow(out, INTRT_NEON_CODES(0), INTRT_NEON_CODES(1), INTRT_NEON_CODES(2),
                             INTRT_NEON_CODES(3), lo, hi, channels);
#undef INTRT_NEON_CODES
#else
  for (int32_t c = 0; c < channels; ++c)
    out[c] = (int8_t)intrt_scale_top(sums[c], constants[c], constants[16 + c], lo, hi);
#endif
}

/* The same, rounded toward zero as in intrt_neon_store_toward_zero, with constants[32 + c] and
 * constants[48 + c] as its numbers 8 and 12. */
INTRT_ALWAYS_INLINE void intrt_neon_channels_store_toward_zero(int8_t* out, const int32_t* sums,
                                                               const int32_t* constants, int32_t lo,
                                                               int32_t hi, int32_t channels) {
#if INTRT_HAS_NEON
#define INTRT_NEON_CODES(i) intrt_neon_rounded(vld1q_s32(sums + 4 * (i)), constants + 4 * (i), 16)
  intrt_neon_channels_narrow(out, INTRT_NEON_CODES(0), INTRT_NEON_CODES(1), INTRT_NEON_CODES(2),
                             INTRT_NEON_CODES(3), lo, hi, channels);
#undef INTRT_NEON_CODES
#else
  for (int32_t c = 0; c < channels; ++c)
    out[c] = (int8_t)intrt_neon_toward_zero(sums[c], constants[c], constants[16 + c],
                                            constants[32 + c], constants[48 + c], lo, hi);
#endif
}

/* ---- masks ---- */

/* out[i] = 0 for each i < count whose bit, i % 8 of mask[i / 8], is 0. */
INTRT_INLINE void intrt_neon_keep(int8_t* out, const uint8_t* mask, int32_t count) {
  int32_t i = 0;
#if INTRT_HAS_NEON
  static const uint8_t bit_of[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x16_t bit = vld1q_u8(bit_of);
  for (; i < count - 15; i += 16) {
    const uint8x16_t bits = vcombine_u8(vdup_n_u8(mask[i >> 3]), vdup_n_u8(mask[(i >> 3) + 1]));
    vst1q_s8(out + i, vandq_s8(vld1q_s8(out + i), vreinterpretq_s8_u8(vtstq_u8(bits, bit))));
  }
#endif
  for (; i < count; ++i)
    if (((mask[i >> 3] >> (i & 7)) & 1) == 0) out[i] = 0;
}

/* ---- sums of two tensors ---- */

#if INTRT_HAS_NEON
/* (x + y) / 2^shift, 0 <= shift <= 8; with a shift of 0 limited to -128 .. 127. Halving before all
 * else loses nothing: rounding down twice, or up twice, rounds once. */
INTRT_ALWAYS_INLINE int8x16_t intrt_neon_half_sums(int8x16_t x, int8x16_t y, int32_t shift,
                                                   int32_t rounding) {
  const int8x16_t right = vdupq_n_s8((int8_t)(1 - shift));
  int8x16_t down, up;
  if (shift == 0) return vqaddq_s8(x, y);
  down = vhaddq_s8(x, y);
  if (shift > 1) down = vshlq_s8(down, right);
  if (rounding == INTRT_ROUND_FLOOR) return down;
  up = vrhaddq_s8(x, y);
  if (shift > 1) up = vshlq_s8(vqaddq_s8(up, vdupq_n_s8((int8_t)((1 << (shift - 1)) - 1))), right);
  return vmaxq_s8(down, vminq_s8(up, vdupq_n_s8(0)));
}

/* The quotients of eight sums of products. */
INTRT_ALWAYS_INLINE int16x8_t intrt_neon_quotients(int8x8_t x, int8x8_t y, int32_t multiplier0,
                                                   int32_t multiplier1, int32_t shift,
                                                   int32_t rounding) {
  int16x8_t v = vmlaq_n_s16(vmulq_n_s16(vmovl_s8(x), (int16_t)multiplier0), vmovl_s8(y),
                            (int16_t)multiplier1);
  if (rounding == INTRT_ROUND_TOWARD_ZERO)
    v = vaddq_s16(v, vandq_s16(vshrq_n_s16(v, 15), vdupq_n_s16((int16_t)((1 << shift) - 1))));
  return vshlq_s16(v, vdupq_n_s16((int16_t)-shift));
}
#endif

/* out[i] = clamp(round((multiplier0 * a[i] + multiplier1 * b[i]) / 2^shift), lo, hi) for 0 <= i <
 * count. 0 <= shift <= 15, the products and their sum plus 2^shift fit 16 bits, -128 <= lo <= hi <=
 * 127; rounding is INTRT_ROUND_TOWARD_ZERO or INTRT_ROUND_FLOOR. out may be a or b. */
INTRT_ALWAYS_INLINE void intrt_neon_add(int8_t* out, const int8_t* a, const int8_t* b,
                                        int32_t count, int32_t multiplier0, int32_t multiplier1,
                                        int32_t shift, int32_t rounding, int32_t lo, int32_t hi) {
  int32_t i = 0;
#if INTRT_HAS_NEON
  const int are_halves = multiplier0 == 1 && multiplier1 == 1 && shift <= 8;
  for (; i < count - 15; i += 16) {
    const int8x16_t x = vld1q_s8(a + i), y = vld1q_s8(b + i);
    int8x16_t code;
    if (are_halves)
      code = intrt_neon_half_sums(x, y, shift, rounding);
    else
      code = vqmovn_high_s16(
          vqmovn_s16(intrt_neon_quotients(vget_low_s8(x), vget_low_s8(y), multiplier0, multiplier1,
                                          shift, rounding)),
          intrt_neon_quotients(vget_high_s8(x), vget_high_s8(y), multiplier0, multiplier1, shift,
                               rounding));
    if (lo > -128) code = vmaxq_s8(code, vdupq_n_s8((int8_t)lo));
    if (hi < 127) code = vminq_s8(code, vdupq_n_s8((int8_t)hi));
    vst1q_s8(out + i, code);
  }
#endif
  for (; i < count; ++i)
    out[i] = (int8_t)intrt_clamp(
        intrt_shift_right(multiplier0 * a[i] + multiplier1 * b[i], shift, rounding), lo, hi);
}

#endif /* INTRT_MICRO_NEON_H_ */
