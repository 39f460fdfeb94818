/* Sums of products on cores that multiply two pairs of 16-bit numbers in one instruction (SMLAD):
 * Arm's DSP extension (Cortex-M4, M7, M33, M35P). Valid as C99; on other cores the same functions
 * are plain C with the same results. Generated C takes in this text.
 *
 * A *panel* holds the codes of two positions side by side, widened to 16 bits, so that one load
 * brings both operands of two products: tap t of position p is number 8 * (t / 4) + 2 * p + k,
 * k = 0, 4, 1, 5 for t % 4 = 0, 1, 2, 3. (SXTB16 widens the even and the odd bytes of a word.)
 * A *block* of weights holds those of four output channels in the same way: tap t of channel c is
 * number 16 * (t / 4) + 2 * c + k, k = 0, 8, 1, 9. Both begin at a multiple of 4 bytes. */
#ifndef INTRT_MICRO_DSP_H_
#define INTRT_MICRO_DSP_H_

#include <stdint.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__) && !defined(__PIC__) && defined(__thumb2__) && \
    defined(__ARM_FEATURE_DSP) && defined(__OPTIMIZE__)
#define INTRT_HAS_DSP 1
#else
#define INTRT_HAS_DSP 0
#endif

INTRT_INLINE int32_t intrt_dsp_place(int32_t tap, int32_t position) {
  return 8 * (tap >> 2) + 2 * position + 4 * (tap & 1) + ((tap >> 1) & 1);
}

/* The taps first .. first + count - 1 of one position: tap first + i is codes[i - begin] where
 * begin <= i < end, else 0. 0 <= begin <= end <= count. */
static INTRT_NOINLINE void intrt_dsp_position(int16_t* panel, int32_t position, int32_t first,
                                              int32_t count, const int8_t* codes, int32_t begin,
                                              int32_t end) {
  int32_t i = 0;
#if INTRT_HAS_DSP
  if (((first | begin | end | count) & 3) == 0) {
    int16_t* to = panel + 2 * first + 2 * position;
    for (; i < count; i += 4) {
      uint32_t word = 0, even, odd;
      if (i >= begin && i < end) memcpy(&word, codes + (i - begin), 4);
      __asm__("sxtb16 %0, %1" : "=r"(even) : "r"(word));
      __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd) : "r"(word));
      memcpy(to, &even, 4);
      memcpy(to + 4, &odd, 4);
      to += 8;
    }
    return;
  }
#endif
  for (; i < count; ++i)
    panel[intrt_dsp_place(first + i, position)] = i >= begin && i < end ? codes[i - begin] : 0;
}

/* The taps first .. first + count - 1 of both positions: tap first + i of position p is
 * codes_p[i - begin_p] where begin_p <= i < end_p, else 0. 0 <= begin_p <= end_p <= count. */
INTRT_ALWAYS_INLINE void intrt_dsp_panel(int16_t* panel, int32_t first, int32_t count,
                                         const int8_t* codes0, int32_t begin0, int32_t end0,
                                         const int8_t* codes1, int32_t begin1, int32_t end1) {
#if INTRT_HAS_DSP
  if (begin0 == 0 && begin1 == 0 && end0 == count && end1 == count) {
    int32_t i = 0;
    if ((first & 3) == 0) {
      int16_t* to = panel + 2 * first;
#pragma GCC unroll 1
      for (; i + 4 <= count; i += 4) {
        uint32_t word0, word1, number;
        memcpy(&word0, codes0 + i, 4);
        memcpy(&word1, codes1 + i, 4);
        __asm__("sxtb16 %0, %1" : "=r"(number) : "r"(word0));
        memcpy(to, &number, 4);
        __asm__("sxtb16 %0, %1" : "=r"(number) : "r"(word1));
        memcpy(to + 2, &number, 4);
        __asm__("sxtb16 %0, %1, ror #8" : "=r"(number) : "r"(word0));
        memcpy(to + 4, &number, 4);
        __asm__("sxtb16 %0, %1, ror #8" : "=r"(number) : "r"(word1));
        memcpy(to + 6, &number, 4);
        to += 8;
      }
    }
#pragma GCC unroll 16
    for (; i < count; ++i) {
      panel[intrt_dsp_place(first + i, 0)] = codes0[i];
      panel[intrt_dsp_place(first + i, 1)] = codes1[i];
    }
    return;
  }
#endif
  intrt_dsp_position(panel, 0, first, count, codes0, begin0, end0);
  intrt_dsp_position(panel, 1, first, count, codes1, begin1, end1);
}

#if INTRT_HAS_DSP
/* One pair of products for each of the 8 sums; the first pair begins the sums of position 1 from
 * those of position 0. */
#define INTRT_DSP_FIRST                \
  "ldrd %[x0], %[x1], [%[x]], #8\n"    \
  "ldrd %[w0], %[w1], [%[w]], #8\n"    \
  "smlad %[s1], %[x1], %[w0], %[s0]\n" \
  "smlad %[s0], %[x0], %[w0], %[s0]\n" \
  "smlad %[s3], %[x1], %[w1], %[s2]\n" \
  "smlad %[s2], %[x0], %[w1], %[s2]\n" \
  "ldrd %[w0], %[w1], [%[w]], #8\n"    \
  "smlad %[s5], %[x1], %[w0], %[s4]\n" \
  "smlad %[s4], %[x0], %[w0], %[s4]\n" \
  "smlad %[s7], %[x1], %[w1], %[s6]\n" \
  "smlad %[s6], %[x0], %[w1], %[s6]\n"
#define INTRT_DSP_NEXT                 \
  "ldrd %[x0], %[x1], [%[x]], #8\n"    \
  "ldrd %[w0], %[w1], [%[w]], #8\n"    \
  "smlad %[s0], %[x0], %[w0], %[s0]\n" \
  "smlad %[s1], %[x1], %[w0], %[s1]\n" \
  "smlad %[s2], %[x0], %[w1], %[s2]\n" \
  "smlad %[s3], %[x1], %[w1], %[s3]\n" \
  "ldrd %[w0], %[w1], [%[w]], #8\n"    \
  "smlad %[s4], %[x0], %[w0], %[s4]\n" \
  "smlad %[s5], %[x1], %[w0], %[s5]\n" \
  "smlad %[s6], %[x0], %[w1], %[s6]\n" \
  "smlad %[s7], %[x1], %[w1], %[s7]\n"
#define INTRT_DSP_GROUP INTRT_DSP_NEXT INTRT_DSP_NEXT
#define INTRT_DSP_GROUP2 INTRT_DSP_GROUP INTRT_DSP_GROUP
#define INTRT_DSP_GROUP4 INTRT_DSP_GROUP2 INTRT_DSP_GROUP2
#define INTRT_DSP_ASM(text, of_first, ...)                                                     \
  __asm__ volatile(                                                                            \
      text                                                                                     \
      : [x] "+r"(panel), [w] "+r"(weights), [s0] "+r"(s0), [s1] of_first(s1), [s2] "+r"(s2),   \
        [s3] of_first(s3), [s4] "+r"(s4), [s5] of_first(s5), [s6] "+r"(s6), [s7] of_first(s7), \
        [x0] "=&r"(x0), [x1] "=&r"(x1), [w0] "=&r"(w0), [w1] "=&r"(w1)                         \
      : __VA_ARGS__                                                                            \
      : "cc", "memory")
#endif

/* sums[2 * c + p] = start[c] + the products of channel c and position p, over 4 * groups taps.
 * groups >= 1. No sum leaves 32 bits on the way, in whatever order the products come. */
INTRT_ALWAYS_INLINE void intrt_dsp_dot_4x2(int32_t* sums, const int32_t* start,
                                           const int16_t* panel, const int16_t* weights,
                                           int32_t groups) {
#if INTRT_HAS_DSP
  int32_t s0 = start[0], s2 = start[1], s4 = start[2], s6 = start[3], s1, s3, s5, s7;
  uint32_t x0, x1, w0, w1;
  INTRT_DSP_ASM(INTRT_DSP_FIRST INTRT_DSP_NEXT, "=&r", );
  groups -= 1;
  if (groups >= 16) {
    const int16_t* end = panel + 64 * (groups >> 3);
    INTRT_DSP_ASM("1:\n" INTRT_DSP_GROUP4 INTRT_DSP_GROUP4
                  "ldr %[x0], %[end]\n"
                  "cmp %[x0], %[x]\n"
                  "bne 1b\n",
                  "+r", [end] "m"(end));
    groups &= 7;
  }
  if ((groups & 8) != 0) INTRT_DSP_ASM(INTRT_DSP_GROUP4 INTRT_DSP_GROUP4, "+r", );
  if ((groups & 4) != 0) INTRT_DSP_ASM(INTRT_DSP_GROUP4, "+r", );
  if ((groups & 2) != 0) INTRT_DSP_ASM(INTRT_DSP_GROUP2, "+r", );
  if ((groups & 1) != 0) INTRT_DSP_ASM(INTRT_DSP_GROUP, "+r", );
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
  sums[4] = s4;
  sums[5] = s5;
  sums[6] = s6;
  sums[7] = s7;
#else
  for (int32_t i = 0; i < 8; ++i) sums[i] = start[i >> 1];
  for (; groups > 0; --groups) {
    for (int32_t c = 0; c < 4; ++c)
      for (int32_t p = 0; p < 2; ++p)
        for (int32_t k = 0; k < 2; ++k)
          sums[2 * c + p] += (int32_t)panel[2 * p + k] * weights[2 * c + k] +
                             (int32_t)panel[4 + 2 * p + k] * weights[8 + 2 * c + k];
    panel += 8;
    weights += 16;
  }
#endif
}

/* ---- depthwise convolutions of three rows ----
 *
 * A *strip* holds four rows of four channels, column by column: rows 0, 1, 2, 3 of channel 0, then
 * of channel 1, 2, 3: 16 numbers for each column. */

/* Columns 0 .. columns - 1 of a strip: row r of column k is codes[(r - begin) * row_step +
 * k * column_step + channel] where begin <= r < end, else 0. 0 <= begin <= end <= 4. */
INTRT_INLINE void intrt_dsp_strip(int16_t* strip, int32_t columns, const int8_t* codes,
                                  int32_t row_step, int32_t column_step, int32_t begin,
                                  int32_t end) {
#if INTRT_HAS_DSP
#pragma GCC unroll 1
  for (; columns > 0; --columns) {
    const int8_t* from = codes;
    uint32_t r0 = 0, r1 = 0, r2 = 0, r3 = 0, low, high;
    if (begin == 0 && end == 4) {
      memcpy(&r0, from, 4);
      memcpy(&r1, from + row_step, 4);
      memcpy(&r2, from + 2 * row_step, 4);
      memcpy(&r3, from + 3 * row_step, 4);
    } else {
      if (begin <= 0 && end > 0) {
        memcpy(&r0, from, 4);
        from += row_step;
      }
      if (begin <= 1 && end > 1) {
        memcpy(&r1, from, 4);
        from += row_step;
      }
      if (begin <= 2 && end > 2) {
        memcpy(&r2, from, 4);
        from += row_step;
      }
      if (begin <= 3 && end > 3) memcpy(&r3, from, 4);
    }
    __asm__ volatile(
        "pkhbt %[low], %[r0], %[r1], lsl #16\n"
        "pkhtb %[r1], %[r1], %[r0], asr #16\n"
        "pkhbt %[high], %[r2], %[r3], lsl #16\n"
        "pkhtb %[r3], %[r3], %[r2], asr #16\n"
        "sxtb16 %[r0], %[low]\n"
        "sxtb16 %[r2], %[high]\n"
        "strd %[r0], %[r2], [%[to]], #8\n"
        "sxtb16 %[r0], %[low], ror #8\n"
        "sxtb16 %[r2], %[high], ror #8\n"
        "strd %[r0], %[r2], [%[to]], #8\n"
        "sxtb16 %[r0], %[r1]\n"
        "sxtb16 %[r2], %[r3]\n"
        "strd %[r0], %[r2], [%[to]], #8\n"
        "sxtb16 %[r0], %[r1], ror #8\n"
        "sxtb16 %[r2], %[r3], ror #8\n"
        "strd %[r0], %[r2], [%[to]], #8\n"
        : [r0] "+&r"(r0), [r1] "+&r"(r1), [r2] "+&r"(r2), [r3] "+&r"(r3), [low] "=&r"(low),
          [high] "=&r"(high), [to] "+&r"(strip)
        :
        : "memory");
    codes += column_step;
  }
#else
  for (int32_t k = 0; k < columns; ++k)
    for (int32_t c = 0; c < 4; ++c)
      for (int32_t r = 0; r < 4; ++r)
        strip[16 * k + 4 * c + r] =
            r >= begin && r < end ? codes[(r - begin) * row_step + k * column_step + c] : 0;
#endif
}

/* sums[2 * c + r] = start[c] + the products of rows r, r + 1, r + 2 of channel c, over `columns` >=
 * 1 columns. Column k has the weights weights[16 * k + 4 * c] of the first row, .. + 1 and .. + 2
 * of the second one (the former for r = 0, the latter for r = 1), .. + 3 of the third. No sum
 * leaves 32 bits on the way, in whatever order the products come. */
INTRT_ALWAYS_INLINE void intrt_dsp_strip_dot(int32_t* sums, const int32_t* start,
                                             const int16_t* strip, const int16_t* weights,
                                             int32_t columns) {
#if INTRT_HAS_DSP
  int32_t s0 = start[0], s2 = start[1], s4 = start[2], s6 = start[3], s1, s3, s5, s7;
  uint32_t x0, x1, w0, w1;
#define INTRT_DSP_FIRST_CHANNEL(a, b)     \
  "ldrd %[x0], %[x1], [%[x]], #8\n"       \
  "ldrd %[w0], %[w1], [%[w]], #8\n"       \
  "smlatb %[" #b "], %[x0], %[w0], %[" #a \
  "]\n"                                   \
  "smlad %[" #a "], %[x0], %[w0], %[" #a  \
  "]\n"                                   \
  "smlabt %[" #a "], %[x1], %[w1], %[" #a \
  "]\n"                                   \
  "smlad %[" #b "], %[x1], %[w1], %[" #b "]\n"
#define INTRT_DSP_FIRST_COLUMN    \
  INTRT_DSP_FIRST_CHANNEL(s0, s1) \
  INTRT_DSP_FIRST_CHANNEL(s2, s3) \
  INTRT_DSP_FIRST_CHANNEL(s4, s5) \
  INTRT_DSP_FIRST_CHANNEL(s6, s7)
#define INTRT_DSP_CHANNEL(a, b)           \
  "ldrd %[x0], %[x1], [%[x]], #8\n"       \
  "ldrd %[w0], %[w1], [%[w]], #8\n"       \
  "smlad %[" #a "], %[x0], %[w0], %[" #a  \
  "]\n"                                   \
  "smlatb %[" #b "], %[x0], %[w0], %[" #b \
  "]\n"                                   \
  "smlabt %[" #a "], %[x1], %[w1], %[" #a \
  "]\n"                                   \
  "smlad %[" #b "], %[x1], %[w1], %[" #b "]\n"
#define INTRT_DSP_COLUMN    \
  INTRT_DSP_CHANNEL(s0, s1) \
  INTRT_DSP_CHANNEL(s2, s3) \
  INTRT_DSP_CHANNEL(s4, s5) \
  INTRT_DSP_CHANNEL(s6, s7)
#define INTRT_DSP_COLUMNS(text, of_first)                                                      \
  __asm__ volatile(                                                                            \
      text                                                                                     \
      : [x] "+r"(strip), [w] "+r"(weights), [s0] "+r"(s0), [s1] of_first(s1), [s2] "+r"(s2),   \
        [s3] of_first(s3), [s4] "+r"(s4), [s5] of_first(s5), [s6] "+r"(s6), [s7] of_first(s7), \
        [x0] "=&r"(x0), [x1] "=&r"(x1), [w0] "=&r"(w0), [w1] "=&r"(w1)                         \
      :                                                                                        \
      : "memory")
  if (columns == 3) {
    INTRT_DSP_COLUMNS(INTRT_DSP_FIRST_COLUMN INTRT_DSP_COLUMN INTRT_DSP_COLUMN, "=&r");
  } else {
    INTRT_DSP_COLUMNS(INTRT_DSP_FIRST_COLUMN, "=&r");
    for (; columns > 1; --columns) INTRT_DSP_COLUMNS(INTRT_DSP_COLUMN, "+r");
  }
#undef INTRT_DSP_COLUMNS
#undef INTRT_DSP_COLUMN
#undef INTRT_DSP_FIRST_COLUMN
#undef INTRT_DSP_FIRST_CHANNEL
#undef INTRT_DSP_CHANNEL
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
  sums[4] = s4;
  sums[5] = s5;
  sums[6] = s6;
  sums[7] = s7;
#else
  for (int32_t i = 0; i < 8; ++i) sums[i] = start[i >> 1];
  for (int32_t k = 0; k < columns; ++k)
    for (int32_t c = 0; c < 4; ++c) {
      const int16_t* x = strip + 16 * k + 4 * c;
      const int16_t* w = weights + 16 * k + 4 * c;
      sums[2 * c] += (int32_t)x[0] * w[0] + (int32_t)x[1] * w[1] + (int32_t)x[2] * w[3];
      sums[2 * c + 1] += (int32_t)x[1] * w[0] + (int32_t)x[2] * w[2] + (int32_t)x[3] * w[3];
    }
#endif
}

#endif /* INTRT_MICRO_DSP_H_ */
