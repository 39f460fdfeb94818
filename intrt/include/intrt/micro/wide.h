/* Sums of products with weights of 16 bits, on cores that multiply two numbers at a time: four
 * channels at two positions keep their sums in registers. Valid as C99; for Armv7-M the innermost
 * loop is assembly. Generated C takes in this text. */
#ifndef INTRT_MICRO_WIDE_H_
#define INTRT_MICRO_WIDE_H_

#include <stdint.h>

#if defined(__GNUC__) && !defined(__clang__) && !defined(__PIC__) && defined(__OPTIMIZE__) && \
    defined(__thumb2__) && defined(__ARM_ARCH) && __ARM_ARCH == 7
#define INTRT_HAS_WIDE 1
#else
#define INTRT_HAS_WIDE 0
#endif

#if INTRT_HAS_WIDE
#define INTRT_WIDE_WEIGHT(s, t)                              \
  "ldrsh %[n], [%[w]], #2\nmla %[" #s "], %[a], %[n], %[" #s \
  "]\n"                                                      \
  "mla %[" #t "], %[b], %[n], %[" #t "]\n"
#define INTRT_WIDE_TAP                                                               \
  "ldrsb %[b], [%[x], %[apart]]\nldrsb %[a], [%[x]], #1\n" INTRT_WIDE_WEIGHT(s0, s1) \
      INTRT_WIDE_WEIGHT(s2, s3) INTRT_WIDE_WEIGHT(s4, s5) INTRT_WIDE_WEIGHT(s6, s7)
#define INTRT_WIDE_TAPS4 INTRT_WIDE_TAP INTRT_WIDE_TAP INTRT_WIDE_TAP INTRT_WIDE_TAP
/* `text` until x is `end`. */
#define INTRT_WIDE_LOOP(text)                                                                     \
  __asm__ volatile("1:\n" text "ldr %[n], %[end]\ncmp %[x], %[n]\nbne 1b\n"                       \
                   : [s0] "+r"(s0), [s1] "+r"(s1), [s2] "+r"(s2), [s3] "+r"(s3), [s4] "+r"(s4),   \
                     [s5] "+r"(s5), [s6] "+r"(s6), [s7] "+r"(s7), [x] "+r"(x), [w] "+r"(weights), \
                     [a] "=&r"(a), [b] "=&r"(b), [n] "=&r"(n)                                     \
                   : [end] "m"(end), [apart] "i"(apart)                                           \
                   : "cc", "memory")
#endif

/* sums[2 * c + p] = start[c] + the products of channel c and position p, for 4 channels and 2
 * positions, over `rows` rows of `taps` taps: the code of tap t of row r at position p is
 * codes[apart * p + row_step * r + t], its weight of channel c weights[4 * (taps * r + t) + c].
 * taps >= 1. No sum leaves 32 bits on the way, in whatever order the products come. */
INTRT_ALWAYS_INLINE void intrt_wide_dot_4x2(int32_t* sums, const int32_t* start,
                                            const int8_t* codes, int32_t apart, int32_t row_step,
                                            const int16_t* weights, int32_t rows, int32_t taps) {
  int32_t s0 = start[0], s1 = s0, s2 = start[1], s3 = s2, s4 = start[2], s5 = s4, s6 = start[3],
          s7 = s6;
  for (; rows > 0; --rows) {
    const int8_t* x = codes;
#if INTRT_HAS_WIDE
    if (__builtin_constant_p(apart) && apart >= 0 && apart < 4096) {
      const int8_t* end = x + (taps & ~7);
      int32_t a, b, n;
      if (taps >= 8) INTRT_WIDE_LOOP(INTRT_WIDE_TAPS4 INTRT_WIDE_TAPS4);
      end = codes + (taps & ~3);
      if ((taps & 4) != 0) INTRT_WIDE_LOOP(INTRT_WIDE_TAPS4);
      end = codes + taps;
      if ((taps & 3) != 0) INTRT_WIDE_LOOP(INTRT_WIDE_TAP);
      codes += row_step;
      continue;
    }
#endif
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC unroll 4
#endif
    for (int32_t t = 0; t < taps; ++t) {
      const int32_t a = x[t], b = x[apart + t];
      s0 += a * weights[0];
      s1 += b * weights[0];
      s2 += a * weights[1];
      s3 += b * weights[1];
      s4 += a * weights[2];
      s5 += b * weights[2];
      s6 += a * weights[3];
      s7 += b * weights[3];
      weights += 4;
    }
    codes += row_step;
  }
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
  sums[4] = s4;
  sums[5] = s5;
  sums[6] = s6;
  sums[7] = s7;
}

/* to[i] = codes[i - begin] where begin <= i < end, else 0, for 0 <= i < count. begin >= 0. */
INTRT_INLINE void intrt_wide_row(int8_t* to, int32_t count, const int8_t* codes, int32_t begin,
                                 int32_t end) {
  int32_t i = 0;
  if (end > count) end = count;
  for (; i < begin && i < count; ++i) to[i] = 0;
  for (; i < end; ++i) to[i] = codes[i - begin];
  for (; i < count; ++i) to[i] = 0;
}

#endif /* INTRT_MICRO_WIDE_H_ */
