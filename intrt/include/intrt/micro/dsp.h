/* Sums of products on cores that multiply two pairs of 16-bit numbers in one instruction (SMLAD):
 * Arm's DSP extension (Cortex-M4, M7, M33, M35P). Valid as C99; on other cores the same functions
 * are plain C with the same results. Generated C takes in this text.
 *
 * A *panel* holds the codes of two positions side by side, widened to 16 bits, as *pairs* of taps,
 * so that one load brings both operands of two products: pair i of position p is the numbers 4 * i
 * + 2 * p and 4 * i + 2 * p + 1. Which taps make a pair is the matter of whoever fills the panel,
 * in one of two orders. A *block* of weights holds those of four output channels: pair i of channel
 * c is the numbers 8 * i + 2 * c and 8 * i + 2 * c + 1. Panels and blocks begin at a multiple of 4
 * bytes. */
#ifndef INTRT_MICRO_DSP_H_
#define INTRT_MICRO_DSP_H_

#include <stdint.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__) && !defined(__PIC__) &&                    \
    !defined(__ARM_FEATURE_MVE) && defined(__thumb2__) && defined(__ARM_FEATURE_DSP) && \
    defined(__ARM_FEATURE_UNALIGNED) && defined(__OPTIMIZE__)
#define INTRT_HAS_DSP 1
/* In front of the loop over the blocks of a short sum. */
#define INTRT_DSP_UNROLL _Pragma("GCC unroll 8")
#else
#define INTRT_HAS_DSP 0
#define INTRT_DSP_UNROLL
#endif

/* The sums below take all 14 general registers, which GCC does not always find where it may use
 * those of a floating-point unit for integers, too. From here on it must not: nothing behind this
 * text may compute with floating point. */
#if INTRT_HAS_DSP && defined(__ARM_FP) && __GNUC__ >= 10
#pragma GCC target("general-regs-only")
#endif

/* Where a tap of a position is in a panel of which taps 0 and 2, 1 and 3, 4 and 6, 5 and 7, ...
 * make pairs. (SXTB16 widens the even and the odd bytes of a word.) */
INTRT_INLINE int32_t intrt_dsp_place(int32_t tap, int32_t position) {
  return 8 * (tap >> 2) + 2 * position + 4 * (tap & 1) + ((tap >> 1) & 1);
}

/* The taps first .. first + count - 1 of one position: tap first + i is codes[i - begin] where
 * begin <= i < end, else 0. begin >= 0. */
static INTRT_NOINLINE void intrt_dsp_position(int16_t* panel, int32_t position, int32_t first,
                                              int32_t count, const int8_t* codes, int32_t begin,
                                              int32_t end) {
  int32_t i = 0;
#if INTRT_HAS_DSP
  if (begin > count) begin = count;
  if (end > count) end = count;
  if (((first | begin | end | count) & 3) == 0) {
    int16_t* to = panel + 2 * first + 2 * position;
    uint32_t word, even, zero = 0;
#pragma GCC unroll 1
    for (; i < begin; i += 4)
      __asm__ volatile("str %[zero], [%[to]], #8\nstr %[zero], [%[to]], #8"
                       : [to] "+r"(to)
                       : [zero] "r"(zero)
                       : "memory");
#pragma GCC unroll 1
    for (; i < end; i += 4)
      __asm__ volatile(
          "ldr %[word], [%[codes]], #4\n"
          "sxtb16 %[even], %[word]\n"
          "sxtb16 %[word], %[word], ror #8\n"
          "str %[even], [%[to]], #8\n"
          "str %[word], [%[to]], #8\n"
          : [to] "+r"(to), [codes] "+r"(codes), [word] "=&r"(word), [even] "=&r"(even)
          :
          : "memory");
#pragma GCC unroll 1
    for (; i < count; i += 4)
      __asm__ volatile("str %[zero], [%[to]], #8\nstr %[zero], [%[to]], #8"
                       : [to] "+r"(to)
                       : [zero] "r"(zero)
                       : "memory");
    return;
  }
#endif
  for (; i < count; ++i)
    panel[intrt_dsp_place(first + i, position)] = i >= begin && i < end ? codes[i - begin] : 0;
}

/* The taps first .. first + count - 1 of both positions: tap first + i of position p is
 * codes_p[i - begin_p] where begin_p <= i < end_p, else 0. begin_p >= 0. */
INTRT_ALWAYS_INLINE void intrt_dsp_panel(int16_t* panel, int32_t first, int32_t count,
                                         const int8_t* codes0, int32_t begin0, int32_t end0,
                                         const int8_t* codes1, int32_t begin1, int32_t end1) {
#if INTRT_HAS_DSP
  if (begin0 == 0 && begin1 == 0 && end0 == count && end1 == count) {
    int32_t i = 0;
    if ((first & 3) == 0) {
      int16_t* to = panel + 2 * first;
      uint32_t word0, word1, number0, number1;
#define INTRT_DSP_WIDEN                                                                            \
  __asm__ volatile(                                                                                \
      "ldr %[w0], [%[c0]], #4\n"                                                                   \
      "ldr %[w1], [%[c1]], #4\n"                                                                   \
      "sxtb16 %[n0], %[w0]\n"                                                                      \
      "sxtb16 %[n1], %[w1]\n"                                                                      \
      "strd %[n0], %[n1], [%[to]], #8\n"                                                           \
      "sxtb16 %[n0], %[w0], ror #8\n"                                                              \
      "sxtb16 %[n1], %[w1], ror #8\n"                                                              \
      "strd %[n0], %[n1], [%[to]], #8\n"                                                           \
      : [to] "+r"(to), [c0] "+r"(codes0), [c1] "+r"(codes1), [w0] "=&r"(word0), [w1] "=&r"(word1), \
        [n0] "=&r"(number0), [n1] "=&r"(number1)                                                   \
      :                                                                                            \
      : "memory")
#pragma GCC unroll 1
      for (; i + 8 <= count; i += 8) {
        INTRT_DSP_WIDEN;
        INTRT_DSP_WIDEN;
      }
      if (i + 4 <= count) {
        INTRT_DSP_WIDEN;
        i += 4;
      }
#undef INTRT_DSP_WIDEN
      codes0 -= i;
      codes1 -= i;
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

/* The same for a panel of which taps 0 and 1, 2 and 3, ... make pairs: tap t of position p is
 * number 4 * (t / 2) + 2 * p + t % 2. */
INTRT_ALWAYS_INLINE void intrt_dsp_panel_in_order(int16_t* panel, int32_t first, int32_t count,
                                                  const int8_t* codes0, int32_t begin0,
                                                  int32_t end0, const int8_t* codes1,
                                                  int32_t begin1, int32_t end1) {
  int32_t i;
  if (begin0 == 0 && begin1 == 0 && end0 == count && end1 == count) {
#if INTRT_HAS_DSP
#pragma GCC unroll 16
#endif
    for (i = 0; i < count; ++i) {
      panel[4 * ((first + i) >> 1) + ((first + i) & 1)] = codes0[i];
      panel[4 * ((first + i) >> 1) + 2 + ((first + i) & 1)] = codes1[i];
    }
    return;
  }
#if INTRT_HAS_DSP
#pragma GCC unroll 1
#endif
  for (i = 0; i < count; ++i) {
    int16_t* to = panel + 4 * ((first + i) >> 1) + ((first + i) & 1);
    to[0] = i >= begin0 && i < end0 ? codes0[i - begin0] : 0;
    to[2] = i >= begin1 && i < end1 ? codes1[i - begin1] : 0;
  }
}

/* The panel of a window of 3 x 3 taps on one channel. The two positions see four columns of three
 * rows: row r is codes + (r - begin) * row_step where begin <= r < end, else 0; column 0 is 0 where
 * `left` is 1, column 3 where `right` is, and `codes` points to the first column that is not. The
 * tap of row r and column k of position p is the code of row r and column k + p. Taps 0 and 2 of
 * row r are pair r, tap 1 of rows 0 and 1 are pair 3, tap 1 of row 2 and a 0 are pair 4. */
INTRT_INLINE void intrt_dsp_panel_3x3(int16_t* panel, const int8_t* codes, int32_t row_step,
                                      int32_t begin, int32_t end, int32_t left, int32_t right) {
#if INTRT_HAS_DSP
  uint32_t words[3] = {0, 0, 0}, even[3], odd[3], pairs[4];
#pragma GCC unroll 3
  for (int32_t r = 0; r < 3; ++r) {
    if (begin == 0 && end == 3 && (left | right) == 0) {
      memcpy(&words[r], codes, 4);
      codes += row_step;
    } else if (r >= begin && r < end) {
      for (int32_t k = left; k < 4 - right; ++k)
        words[r] |= (uint32_t)(uint8_t)codes[k - left] << (8 * k);
      codes += row_step;
    }
    __asm__("sxtb16 %0, %1" : "=r"(even[r]) : "r"(words[r]));
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(odd[r]) : "r"(words[r]));
    memcpy(panel + 4 * r, &even[r], 4);
    memcpy(panel + 4 * r + 2, &odd[r], 4);
  }
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(pairs[0]) : "r"(odd[0]), "r"(odd[1]));
  __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(pairs[1]) : "r"(even[1]), "r"(even[0]));
  pairs[2] = odd[2] & 0xffffu;
  pairs[3] = even[2] >> 16;
  memcpy(panel + 12, &pairs[0], 4);
  memcpy(panel + 14, &pairs[1], 4);
  memcpy(panel + 16, &pairs[2], 4);
  memcpy(panel + 18, &pairs[3], 4);
#else
  for (int32_t p = 0; p < 2; ++p) {
    for (int32_t r = 0; r < 3; ++r)
      for (int32_t k = 0; k < 3; ++k) {
        int32_t column = k + p, pair = k == 1 ? 3 + r / 2 : r, side = k == 1 ? r & 1 : k / 2;
        int is_code = r >= begin && r < end && column >= left && column < 4 - right;
        panel[4 * pair + 2 * p + side] =
            is_code ? codes[(r - begin) * row_step + column - left] : 0;
      }
    panel[16 + 2 * p + 1] = 0;
  }
#endif
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
#define INTRT_DSP_PUT_SUMS                                \
  sums[0] = s0, sums[1] = s1, sums[2] = s2, sums[3] = s3; \
  sums[4] = s4, sums[5] = s5, sums[6] = s6, sums[7] = s7
#define INTRT_DSP_2 INTRT_DSP_NEXT INTRT_DSP_NEXT
#define INTRT_DSP_4 INTRT_DSP_2 INTRT_DSP_2
#define INTRT_DSP_8 INTRT_DSP_4 INTRT_DSP_4
#define INTRT_DSP_ASM(text, of_first, ...)                                                     \
  __asm__ volatile(                                                                            \
      text                                                                                     \
      : [x] "+r"(panel), [w] "+r"(weights), [s0] "+r"(s0), [s1] of_first(s1), [s2] "+r"(s2),   \
        [s3] of_first(s3), [s4] "+r"(s4), [s5] of_first(s5), [s6] "+r"(s6), [s7] of_first(s7), \
        [x0] "=&r"(x0), [x1] "=&r"(x1), [w0] "=&r"(w0), [w1] "=&r"(w1)                         \
      : __VA_ARGS__                                                                            \
      : "cc", "memory")
#endif

/* sums[2 * c + p] = start[c] + the products of channel c and position p, over `pairs` >= 1 pairs of
 * taps. No sum leaves 32 bits on the way, in whatever order the products come. */
INTRT_ALWAYS_INLINE void intrt_dsp_dot_4x2(int32_t* sums, const int32_t* start,
                                           const int16_t* panel, const int16_t* weights,
                                           int32_t pairs) {
#if INTRT_HAS_DSP
  int32_t s0 = start[0], s2 = start[1], s4 = start[2], s6 = start[3], s1, s3, s5, s7;
  uint32_t x0, x1, w0, w1;
  INTRT_DSP_ASM(INTRT_DSP_FIRST, "=&r", );
  pairs -= 1;
  if (pairs >= 32) {
    const int16_t* end = panel + 64 * (pairs >> 4);
    INTRT_DSP_ASM("1:\n" INTRT_DSP_8 INTRT_DSP_8
                  "ldr %[x0], %[end]\n"
                  "cmp %[x0], %[x]\n"
                  "bne 1b\n",
                  "+r", [end] "m"(end));
    pairs &= 15;
  }
  if ((pairs & 16) != 0) INTRT_DSP_ASM(INTRT_DSP_8 INTRT_DSP_8, "+r", );
  if ((pairs & 8) != 0) INTRT_DSP_ASM(INTRT_DSP_8, "+r", );
  if ((pairs & 4) != 0) INTRT_DSP_ASM(INTRT_DSP_4, "+r", );
  if ((pairs & 2) != 0) INTRT_DSP_ASM(INTRT_DSP_2, "+r", );
  if ((pairs & 1) != 0) INTRT_DSP_ASM(INTRT_DSP_NEXT, "+r", );
  INTRT_DSP_PUT_SUMS;
#else
  for (int32_t i = 0; i < 8; ++i) sums[i] = start[i >> 1];
  for (; pairs > 0; --pairs) {
    for (int32_t c = 0; c < 4; ++c)
      for (int32_t p = 0; p < 2; ++p)
        sums[2 * c + p] +=
            (int32_t)panel[2 * p] * weights[2 * c] + (int32_t)panel[2 * p + 1] * weights[2 * c + 1];
    panel += 4;
    weights += 8;
  }
#endif
}

/* The same with weights of 8 bits, 4 * groups taps, groups >= 1, and a panel of which taps 0 and 2,
 * 1 and 3, ... make pairs: weight of tap t and channel c is number 16 * (t / 4) + 4 * c + t % 4.
 * Both begin at a multiple of 4 bytes. */
INTRT_ALWAYS_INLINE void intrt_dsp_dot8_4x2(int32_t* sums, const int32_t* start,
                                            const int16_t* panel, const int8_t* weights,
                                            int32_t groups) {
#if INTRT_HAS_DSP
  int32_t s0 = start[0], s2 = start[1], s4 = start[2], s6 = start[3], s1, s3, s5, s7;
  uint32_t x0, x1, w0, w1;
#define INTRT_DSP_FIRST_PASS           \
  "ldrd %[x0], %[x1], [%[x]], #8\n"    \
  "ldrd %[w0], %[w1], [%[w]]\n"        \
  "sxtb16 %[w0], %[w0]\n"              \
  "sxtb16 %[w1], %[w1]\n"              \
  "smlad %[s1], %[x1], %[w0], %[s0]\n" \
  "smlad %[s0], %[x0], %[w0], %[s0]\n" \
  "smlad %[s3], %[x1], %[w1], %[s2]\n" \
  "smlad %[s2], %[x0], %[w1], %[s2]\n" \
  "ldrd %[w0], %[w1], [%[w], #8]\n"    \
  "sxtb16 %[w0], %[w0]\n"              \
  "sxtb16 %[w1], %[w1]\n"              \
  "smlad %[s5], %[x1], %[w0], %[s4]\n" \
  "smlad %[s4], %[x0], %[w0], %[s4]\n" \
  "smlad %[s7], %[x1], %[w1], %[s6]\n" \
  "smlad %[s6], %[x0], %[w1], %[s6]\n"
#define INTRT_DSP_PASS(ror, first, second) \
  "ldrd %[x0], %[x1], [%[x]], #8\n"        \
  "ldrd %[w0], %[w1], " first              \
  "\n"                                     \
  "sxtb16 %[w0], %[w0]" ror                \
  "\n"                                     \
  "sxtb16 %[w1], %[w1]" ror                \
  "\n"                                     \
  "smlad %[s0], %[x0], %[w0], %[s0]\n"     \
  "smlad %[s1], %[x1], %[w0], %[s1]\n"     \
  "smlad %[s2], %[x0], %[w1], %[s2]\n"     \
  "smlad %[s3], %[x1], %[w1], %[s3]\n"     \
  "ldrd %[w0], %[w1], " second             \
  "\n"                                     \
  "sxtb16 %[w0], %[w0]" ror                \
  "\n"                                     \
  "sxtb16 %[w1], %[w1]" ror                \
  "\n"                                     \
  "smlad %[s4], %[x0], %[w0], %[s4]\n"     \
  "smlad %[s5], %[x1], %[w0], %[s5]\n"     \
  "smlad %[s6], %[x0], %[w1], %[s6]\n"     \
  "smlad %[s7], %[x1], %[w1], %[s7]\n"
#define INTRT_DSP_ODD_PASS INTRT_DSP_PASS(", ror #8", "[%[w]], #8", "[%[w]], #8")
#define INTRT_DSP_GROUP8 INTRT_DSP_PASS("", "[%[w]]", "[%[w], #8]") INTRT_DSP_ODD_PASS
  INTRT_DSP_ASM(INTRT_DSP_FIRST_PASS INTRT_DSP_ODD_PASS, "=&r", );
  groups -= 1;
  if ((groups & 1) != 0) INTRT_DSP_ASM(INTRT_DSP_GROUP8, "+r", );
  if (groups >= 2) {
    const int16_t* end = panel + 16 * (groups >> 1);
    INTRT_DSP_ASM("1:\n" INTRT_DSP_GROUP8 INTRT_DSP_GROUP8
                  "ldr %[x0], %[end]\n"
                  "cmp %[x0], %[x]\n"
                  "bne 1b\n",
                  "+r", [end] "m"(end));
  }
#undef INTRT_DSP_GROUP8
#undef INTRT_DSP_PASS
#undef INTRT_DSP_ODD_PASS
#undef INTRT_DSP_FIRST_PASS
  INTRT_DSP_PUT_SUMS;
#else
  for (int32_t i = 0; i < 8; ++i) sums[i] = start[i >> 1];
  for (; groups > 0; --groups) {
    for (int32_t c = 0; c < 4; ++c)
      for (int32_t p = 0; p < 2; ++p)
        for (int32_t t = 0; t < 4; ++t)
          sums[2 * c + p] += (int32_t)panel[4 * (t & 1) + 2 * p + (t >> 1)] * weights[4 * c + t];
    panel += 8;
    weights += 16;
  }
#endif
}

/* ---- sums that leave out weights of 0, written out product by product ---- */

/* The pairs of two positions, or of two weights: pairs[k] stands for numbers[at + 2 * k] and
 * numbers[at + 2 * k + 1], k = 0, 1. `at` is an even constant, 0 .. 508. */
INTRT_ALWAYS_INLINE void intrt_dsp_take(uint32_t* pairs, const int16_t* numbers, int32_t at) {
#if INTRT_HAS_DSP
  uint32_t first, second;
  __asm__ volatile("ldrd %0, %1, [%2, %3]"
                   : "=r"(first), "=r"(second)
                   : "r"(numbers), "i"(2 * at)
                   : "memory");
  pairs[0] = first;
  pairs[1] = second;
#else
  numbers += at;
  for (int32_t k = 0; k < 2; ++k)
    pairs[k] = (uint32_t)(uint16_t)numbers[2 * k] | (uint32_t)(uint16_t)numbers[2 * k + 1] << 16;
#endif
}

/* sums[0] += the two products of positions[0] and weight, sums[1] those of positions[1] and weight:
 * pairs that intrt_dsp_take made. No sum leaves 32 bits on the way. */
INTRT_ALWAYS_INLINE void intrt_dsp_multiply(int32_t* sums, const uint32_t* positions,
                                            uint32_t weight) {
  for (int32_t p = 0; p < 2; ++p) {
#if INTRT_HAS_DSP
    int32_t sum = sums[p];
    __asm__ volatile("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(positions[p]), "r"(weight));
    sums[p] = sum;
#else
    int32_t low = (int16_t)(positions[p] & 0xffffu), weight_low = (int16_t)(weight & 0xffffu);
    int32_t high = (int32_t)positions[p] >> 16, weight_high = (int32_t)weight >> 16;
    sums[p] += low * weight_low + high * weight_high;
#endif
  }
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
  INTRT_DSP_PUT_SUMS;
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

/* ---- sums of two tensors ---- */

/* out[i] = clamp((a[i] + b[i]) >> shift, lo, 127), i = 0 .. count - 1; shift 0 or 1, lo -128 or 0.
 * out may be a or b. */
INTRT_INLINE void intrt_dsp_add(int8_t* out, const int8_t* a, const int8_t* b, int32_t count,
                                int shift, int32_t lo) {
#if INTRT_HAS_DSP
  /* A saturating or a halving sum of four pairs of bytes; of a negative one, 0. */
#define INTRT_DSP_ADD(text)                                                           \
  _Pragma("GCC unroll 4") for (; count >= 4; count -= 4) {                            \
    uint32_t x, y, zero = 0, sign;                                                    \
    memcpy(&x, a, 4);                                                                 \
    memcpy(&y, b, 4);                                                                 \
    __asm__(text : [x] "+&r"(x), [s] "=&r"(sign) : [y] "r"(y), [z] "r"(zero) : "cc"); \
    (void)sign;                                                                       \
    memcpy(out, &x, 4);                                                               \
    a += 4;                                                                           \
    b += 4;                                                                           \
    out += 4;                                                                         \
  }
#define INTRT_DSP_POSITIVE "ssub8 %[s], %[x], %[z]\nsel %[x], %[x], %[z]\n"
  if (shift == 0 && lo == -128) INTRT_DSP_ADD("qadd8 %[x], %[x], %[y]\n")
  if (shift == 0 && lo == 0) INTRT_DSP_ADD("qadd8 %[x], %[x], %[y]\n" INTRT_DSP_POSITIVE)
  if (shift == 1 && lo == -128) INTRT_DSP_ADD("shadd8 %[x], %[x], %[y]\n")
  if (shift == 1 && lo == 0) INTRT_DSP_ADD("shadd8 %[x], %[x], %[y]\n" INTRT_DSP_POSITIVE)
#undef INTRT_DSP_ADD
#undef INTRT_DSP_POSITIVE
#endif
  for (; count > 0; --count) *out++ = (int8_t)intrt_clamp((*a++ + *b++) >> shift, lo, 127);
}

#endif /* INTRT_MICRO_DSP_H_ */
