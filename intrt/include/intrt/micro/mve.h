/* Sums of products, and what becomes of them, on cores with vectors of 16 bytes: Arm's M-profile
 * vector extension (Cortex-M55, M85). Valid as C99; on other cores, and with other compilers than
 * GCC, the same functions are plain C with the same results. Generated C takes in this text.
 *
 * A *block* of weights holds those of four output channels, in groups of 16 taps: tap t of channel
 * c is number 64 * (t / 16) + 16 * c + t % 16. Sums are those of four channels at two positions. */
#ifndef INTRT_MICRO_MVE_H_
#define INTRT_MICRO_MVE_H_

#include <stdint.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__) && !defined(__PIC__) && defined(__ARM_FEATURE_MVE) && \
    defined(__OPTIMIZE__)
#define INTRT_HAS_MVE 1
#include <arm_mve.h>
#else
#define INTRT_HAS_MVE 0
#endif

#if INTRT_HAS_MVE
/* VMLADAVA takes even registers only: r0, r2, r4, r6 sum position 0, r8, r10, r12, lr the other. */
#define INTRT_MVE_LOAD(to, from, step) "vldrb.8 %q[" #to "], [%[" #from "]], #" #step "\n"
#define INTRT_MVE_PAIR(x, y, s, t) \
  INTRT_MVE_LOAD(f, w, 16)         \
  "vmladava.s8 " #s ", %q[" #x "], %q[f]\nvmladava.s8 " #t ", %q[" #y "], %q[f]\n"
/* The products of the codes x and y of 16 taps with the weights at w. */
#define INTRT_MVE_SUMS(x, y)   \
  INTRT_MVE_PAIR(x, y, r0, r8) \
  INTRT_MVE_PAIR(x, y, r2, r10) INTRT_MVE_PAIR(x, y, r4, r12) INTRT_MVE_PAIR(x, y, r6, lr)
#define INTRT_MVE_GROUP(step) \
  INTRT_MVE_LOAD(a, x0, step) INTRT_MVE_LOAD(b, x1, step) INTRT_MVE_SUMS(a, b)
#define INTRT_MVE_GROUPS1 INTRT_MVE_GROUP(16)
#define INTRT_MVE_GROUPS2 INTRT_MVE_GROUPS1 INTRT_MVE_GROUPS1
#define INTRT_MVE_GROUPS3 INTRT_MVE_GROUPS2 INTRT_MVE_GROUPS1
#define INTRT_MVE_GROUPS4 INTRT_MVE_GROUPS2 INTRT_MVE_GROUPS2
#define INTRT_MVE_GROUPS6 INTRT_MVE_GROUPS4 INTRT_MVE_GROUPS2
#define INTRT_MVE_GROUPS8 INTRT_MVE_GROUPS4 INTRT_MVE_GROUPS4
/* The same where position 1 lies a column behind position 0, so that its codes in one column are
 * those of position 0 in the next: x holds these already, y takes the next ones. */
#define INTRT_MVE_NEXT(x, y) INTRT_MVE_LOAD(y, x0, 16) INTRT_MVE_SUMS(x, y)
#define INTRT_MVE_NEXT2(x, y, z) INTRT_MVE_NEXT(x, y) INTRT_MVE_NEXT(z, x)
#define INTRT_MVE_NEXT3(x, y, z) INTRT_MVE_NEXT2(x, z, y) INTRT_MVE_NEXT(z, y)
#define INTRT_MVE_NEXT5 INTRT_MVE_NEXT2(a, e, b) INTRT_MVE_NEXT2(c, b, d) INTRT_MVE_NEXT(e, d)
#define INTRT_MVE_LOAD2(x, y) INTRT_MVE_LOAD(x, x0, 16) INTRT_MVE_LOAD(y, x0, 16)
/* Three columns of 16, 32 and 64 codes. */
#define INTRT_MVE_SHARED3 INTRT_MVE_LOAD(a, x0, 16) INTRT_MVE_NEXT2(a, b, b) INTRT_MVE_NEXT(a, b)
#define INTRT_MVE_SHARED6 INTRT_MVE_LOAD2(a, b) INTRT_MVE_NEXT3(a, b, c) INTRT_MVE_NEXT3(a, b, c)
#define INTRT_MVE_SHARED12 \
  INTRT_MVE_LOAD2(a, b)    \
  INTRT_MVE_LOAD2(c, d) INTRT_MVE_NEXT5 INTRT_MVE_NEXT5 INTRT_MVE_NEXT2(a, e, b)
/* The sums of position 0 alone. */
#define INTRT_MVE_ONE(s) INTRT_MVE_LOAD(f, w, 16) "vmladava.s8 " #s ", %q[a], %q[f]\n"
#define INTRT_MVE_ALONE1 \
  INTRT_MVE_LOAD(a, x0, 16) INTRT_MVE_ONE(r0) INTRT_MVE_ONE(r2) INTRT_MVE_ONE(r4) INTRT_MVE_ONE(r6)
#define INTRT_MVE_ALONE4 INTRT_MVE_ALONE1 INTRT_MVE_ALONE1 INTRT_MVE_ALONE1 INTRT_MVE_ALONE1

#define INTRT_MVE_BEGIN_ALONE "ldrd r0, r2, [%[n]]\nldrd r4, r6, [%[n], #8]\n"
#define INTRT_MVE_BEGIN INTRT_MVE_BEGIN_ALONE "mov r8, r0\nmov r10, r2\nmov r12, r4\nmov lr, r6\n"
#define INTRT_MVE_END_OF(v, s0, s1, s2, s3)               \
  "vmov %q[" #v "][2], %q[" #v "][0], " #s0 ", " #s2 "\n" \
  "vmov %q[" #v "][3], %q[" #v "][1], " #s1 ", " #s3 "\n"
#define INTRT_MVE_END INTRT_MVE_END_OF(a, r0, r2, r4, r6) INTRT_MVE_END_OF(b, r8, r10, r12, lr)
#define INTRT_MVE_END_ALONE INTRT_MVE_END_OF(a, r0, r2, r4, r6) "vmov %q[b], %q[a]\n"
/* A row of so many groups: as it stands, or `count` at a time. */
#define INTRT_MVE_LOOP(text, count)      \
  "mov %[n], %[groups]\n"                \
  "1:\n" text "subs %[n], #" #count "\n" \
  "bne 1b\n"
/* The operands have registers of their own, the odd ones but r7, so that every way to compile finds
 * room for them. */
#define INTRT_MVE_ASM(text, more, ...)                                                          \
  do {                                                                                          \
    const int8_t* const codes1 = codes + apart;                                                 \
    register const int32_t* n __asm__("r9") = start;                                            \
    register const int8_t* x0 __asm__("r1") = codes;                                            \
    register const int8_t* x1 __asm__("r3") = codes1;                                           \
    register const int8_t* w __asm__("r5") = weights;                                           \
    __asm__ volatile(                                                                           \
        text                                                                                    \
        : [n] "+r"(n), [x0] "+r"(x0), [x1] "+r"(x1), [w] "+r"(w), [a] "=&w"(v0), [b] "=&w"(v1), \
          [c] "=&w"(t0), [d] "=&w"(t1), [e] "=&w"(t2), [f] "=&w"(t3)more:__VA_ARGS__            \
        : "r0", "r2", "r4", "r6", "r8", "r10", "r12", "lr", "cc", "memory");                    \
  } while (0)
#define INTRT_MVE_COUNTED , [rows] "+r"(rows_left)
#define INTRT_MVE_NONE
/* One row. */
#define INTRT_MVE_ROW(text, ...) \
  INTRT_MVE_ASM(INTRT_MVE_BEGIN text INTRT_MVE_END, INTRT_MVE_NONE, __VA_ARGS__)
/* `text` as often as `repeats` says. */
#define INTRT_MVE_REPEAT(text, repeats)                                                   \
  do {                                                                                    \
    register int32_t rows_left __asm__("r11") = repeats;                                  \
    INTRT_MVE_ASM(INTRT_MVE_BEGIN "1:\n" text "subs %[rows], #1\nbne 1b\n" INTRT_MVE_END, \
                  INTRT_MVE_COUNTED, );                                                   \
  } while (0)
/* Rows, with `gap` codes and weight_gap weights between them. */
#define INTRT_MVE_ALL_ROWS(begin, text, end, gap)                                                  \
  do {                                                                                             \
    register int32_t rows_left __asm__("r11") = rows;                                              \
    INTRT_MVE_ASM(                                                                                 \
        begin "2:\n" text                                                                          \
              ".if %c[code_gap]\naddw %[x0], %[x0], %[code_gap]\naddw %[x1], %[x1], %[code_gap]\n" \
              ".endif\n.if %c[weight_gap]\naddw %[w], %[w], %[weight_gap]\n.endif\n"               \
              "subs %[rows], #1\nbne 2b\n" end,                                                    \
        INTRT_MVE_COUNTED, [groups] "i"(groups), [code_gap] "i"(gap),                              \
        [weight_gap] "i"(weight_gap));                                                             \
  } while (0)
#define INTRT_MVE_ROWS(text, gap) INTRT_MVE_ALL_ROWS(INTRT_MVE_BEGIN, text, INTRT_MVE_END, gap)
#define INTRT_MVE_ROWS_ALONE(text, gap) \
  INTRT_MVE_ALL_ROWS(INTRT_MVE_BEGIN_ALONE, text, INTRT_MVE_END_ALONE, gap)
/* One row for position 0 alone, as many groups as a constant says. */
#define INTRT_MVE_ROW_ALONE(one, four)                                                 \
  do {                                                                                 \
    if (groups % 4 == 0)                                                               \
      INTRT_MVE_ASM(INTRT_MVE_BEGIN_ALONE INTRT_MVE_LOOP(four, 4) INTRT_MVE_END_ALONE, \
                    INTRT_MVE_NONE, [groups] "i"(groups));                             \
    else                                                                               \
      INTRT_MVE_ASM(INTRT_MVE_BEGIN_ALONE INTRT_MVE_LOOP(one, 1) INTRT_MVE_END_ALONE,  \
                    INTRT_MVE_NONE, [groups] "i"(groups));                             \
  } while (0)
/* By the number of groups. */
#define INTRT_MVE_CASES(rows_of, argument)                       \
  switch (groups) {                                              \
    case 1:                                                      \
      rows_of(INTRT_MVE_GROUPS1, argument);                      \
      break;                                                     \
    case 2:                                                      \
      rows_of(INTRT_MVE_GROUPS2, argument);                      \
      break;                                                     \
    case 3:                                                      \
      rows_of(INTRT_MVE_GROUPS3, argument);                      \
      break;                                                     \
    case 4:                                                      \
      rows_of(INTRT_MVE_GROUPS4, argument);                      \
      break;                                                     \
    case 6:                                                      \
      rows_of(INTRT_MVE_GROUPS6, argument);                      \
      break;                                                     \
    case 8:                                                      \
      rows_of(INTRT_MVE_GROUPS8, argument);                      \
      break;                                                     \
    default:                                                     \
      if (groups % 4 == 0)                                       \
        rows_of(INTRT_MVE_LOOP(INTRT_MVE_GROUPS4, 4), argument); \
      else                                                       \
        rows_of(INTRT_MVE_LOOP(INTRT_MVE_GROUPS1, 1), argument); \
  }
#endif

/* sums[4 * p + c] = start[c] + the products of channel c and position p, over `rows` rows of
 * 16 * groups taps: the code of tap t of row r at position p is codes[apart * p + row_step * r +
 * t]; the block of weights of row r begins at weights[weight_step * r]. rows >= 1, groups >= 1. No
 * sum leaves 32 bits on the way, in whatever order the products come. */
INTRT_ALWAYS_INLINE void intrt_mve_dot_4x2(int32_t* sums, const int32_t* start, const int8_t* codes,
                                           int32_t apart, int32_t row_step, const int8_t* weights,
                                           int32_t weight_step, int32_t rows, int32_t groups) {
#if INTRT_HAS_MVE
  const int32_t code_gap = row_step - 16 * groups, weight_gap = weight_step - 64 * groups;
  int32x4_t v0, v1, t0, t1, t2, t3;
  const int is_panel = groups == 1 && code_gap == 16 && weight_gap == 0;
  const int are_small =
      groups < 256 && code_gap >= 0 && code_gap < 4096 && weight_gap >= 0 && weight_gap < 4096;
  /* Of three columns the positions share two. */
  const int shared = 16 * groups == 3 * apart && code_gap >= apart ? groups : 0;
  const int is_alone = apart == 0 && rows == 1 && groups < 4096;
  if (__builtin_constant_p(is_alone) && is_alone && __builtin_constant_p(groups)) {
    INTRT_MVE_ROW_ALONE(INTRT_MVE_ALONE1, INTRT_MVE_ALONE4);
  } else if (__builtin_constant_p(is_panel) && is_panel) {
    if (__builtin_constant_p(rows) && rows == 1)
      INTRT_MVE_ROW(INTRT_MVE_GROUP(32), );
    else if (__builtin_constant_p(rows) && rows == 2)
      INTRT_MVE_ROW(INTRT_MVE_GROUP(32) INTRT_MVE_GROUP(32), );
    else if (__builtin_constant_p(rows) && rows == 3)
      INTRT_MVE_ROW(INTRT_MVE_GROUP(32) INTRT_MVE_GROUP(32) INTRT_MVE_GROUP(32), );
    else
      INTRT_MVE_REPEAT(INTRT_MVE_GROUP(32), rows);
  } else if (__builtin_constant_p(groups) && groups < 256 && __builtin_constant_p(rows) &&
             rows == 1) {
    INTRT_MVE_CASES(INTRT_MVE_ROW, [groups] "i"(groups))
  } else if (__builtin_constant_p(are_small) && are_small && __builtin_constant_p(shared) &&
             (shared == 3 || shared == 6 || shared == 12)) {
    if (shared == 3)
      INTRT_MVE_ROWS(INTRT_MVE_SHARED3, code_gap - 16);
    else if (shared == 6)
      INTRT_MVE_ROWS(INTRT_MVE_SHARED6, code_gap - 32);
    else
      INTRT_MVE_ROWS(INTRT_MVE_SHARED12, code_gap - 64);
  } else if (__builtin_constant_p(are_small) && are_small) {
    if (!__builtin_constant_p(apart) && apart == 0) {
      if (groups % 4 == 0)
        INTRT_MVE_ROWS_ALONE(INTRT_MVE_LOOP(INTRT_MVE_ALONE4, 4), code_gap);
      else
        INTRT_MVE_ROWS_ALONE(INTRT_MVE_LOOP(INTRT_MVE_ALONE1, 1), code_gap);
    } else {
      INTRT_MVE_CASES(INTRT_MVE_ROWS, code_gap)
    }
  } else {
    static const int32_t zeros[4] = {0, 0, 0, 0};
    int32x4_t total0 = vdupq_n_s32(0), total1 = total0;
    for (; rows > 0; --rows) {
      INTRT_MVE_REPEAT(INTRT_MVE_GROUPS1, groups);
      total0 = vaddq_s32(total0, v0);
      total1 = vaddq_s32(total1, v1);
      start = zeros;
      codes += row_step;
      weights += weight_step;
    }
    v0 = total0;
    v1 = total1;
  }
  memcpy(sums, &v0, 16);
  memcpy(sums + 4, &v1, 16);
#else
  for (int32_t p = 0; p < 2; ++p)
    for (int32_t c = 0; c < 4; ++c) {
      int32_t sum = start[c];
      for (int32_t r = 0; r < rows; ++r)
        for (int32_t t = 0; t < 16 * groups; ++t)
          sum += (int32_t)codes[apart * p + row_step * r + t] *
                 weights[weight_step * r + 64 * (t >> 4) + 16 * c + (t & 15)];
      sums[4 * p + c] = sum;
    }
#endif
}

#if INTRT_HAS_MVE
/* With weights of 16 bits: half as many products at a time. */
#define INTRT_MVE_WIDE_PAIR(s, t) \
  "vldrh.16 %q[f], [%[w]], #16\n" \
  "vmladava.s16 " #s ", %q[a], %q[f]\nvmladava.s16 " #t ", %q[b], %q[f]\n"
#define INTRT_MVE_WIDE_HALF(step)                                                            \
  "vldrb.s16 %q[a], [%[x0]], #" #step "\nvldrb.s16 %q[b], [%[x1]], #" #step                  \
  "\n" INTRT_MVE_WIDE_PAIR(r0, r8) INTRT_MVE_WIDE_PAIR(r2, r10) INTRT_MVE_WIDE_PAIR(r4, r12) \
      INTRT_MVE_WIDE_PAIR(r6, lr)
#define INTRT_MVE_WIDE1 INTRT_MVE_WIDE_HALF(8) INTRT_MVE_WIDE_HALF(8)
#define INTRT_MVE_WIDE2 INTRT_MVE_WIDE1 INTRT_MVE_WIDE1
#define INTRT_MVE_WIDE3 INTRT_MVE_WIDE2 INTRT_MVE_WIDE1
#define INTRT_MVE_WIDE4 INTRT_MVE_WIDE2 INTRT_MVE_WIDE2
#define INTRT_MVE_WIDE_PANEL INTRT_MVE_WIDE_HALF(8) INTRT_MVE_WIDE_HALF(24)
#define INTRT_MVE_WIDE_ONE(s) "vldrh.16 %q[f], [%[w]], #16\nvmladava.s16 " #s ", %q[a], %q[f]\n"
#define INTRT_MVE_WIDE_HALF_ALONE                                                \
  "vldrb.s16 %q[a], [%[x0]], #8\n" INTRT_MVE_WIDE_ONE(r0) INTRT_MVE_WIDE_ONE(r2) \
      INTRT_MVE_WIDE_ONE(r4) INTRT_MVE_WIDE_ONE(r6)
#define INTRT_MVE_WIDE_ALONE1 INTRT_MVE_WIDE_HALF_ALONE INTRT_MVE_WIDE_HALF_ALONE
#define INTRT_MVE_WIDE_ALONE4 \
  INTRT_MVE_WIDE_ALONE1 INTRT_MVE_WIDE_ALONE1 INTRT_MVE_WIDE_ALONE1 INTRT_MVE_WIDE_ALONE1
#endif

/* The same with weights of 16 bits; tap t of channel c is number 32 * (t / 8) + 8 * c + t % 8 of a
 * block. Codes are where they are for intrt_mve_dot_4x2, and there are 16 * groups taps in a row,
 * too. */
INTRT_ALWAYS_INLINE void intrt_mve_wide_dot_4x2(int32_t* sums, const int32_t* start,
                                                const int8_t* codes, int32_t apart,
                                                int32_t row_step, const int16_t* wide_weights,
                                                int32_t weight_step, int32_t rows, int32_t groups) {
#if INTRT_HAS_MVE
  const int8_t* weights = (const int8_t*)wide_weights;
  const int32_t code_gap = row_step - 16 * groups, weight_gap = 2 * (weight_step - 64 * groups);
  int32x4_t v0, v1, t0, t1, t2, t3;
  const int is_panel = groups == 1 && code_gap == 16 && weight_gap == 0;
  const int are_small =
      groups < 256 && code_gap >= 0 && code_gap < 4096 && weight_gap >= 0 && weight_gap < 4096;
  const int is_alone = apart == 0 && rows == 1 && groups < 4096;
  if (__builtin_constant_p(is_alone) && is_alone && __builtin_constant_p(groups)) {
    INTRT_MVE_ROW_ALONE(INTRT_MVE_WIDE_ALONE1, INTRT_MVE_WIDE_ALONE4);
  } else if (__builtin_constant_p(is_panel) && is_panel) {
    INTRT_MVE_REPEAT(INTRT_MVE_WIDE_PANEL, rows);
  } else if (__builtin_constant_p(are_small) && are_small) {
    if (groups == 1)
      INTRT_MVE_ROWS(INTRT_MVE_WIDE1, code_gap);
    else if (groups == 2)
      INTRT_MVE_ROWS(INTRT_MVE_WIDE2, code_gap);
    else if (groups % 3 == 0)
      INTRT_MVE_ROWS(INTRT_MVE_LOOP(INTRT_MVE_WIDE3, 3), code_gap);
    else if (groups % 4 == 0)
      INTRT_MVE_ROWS(INTRT_MVE_LOOP(INTRT_MVE_WIDE4, 4), code_gap);
    else
      INTRT_MVE_ROWS(INTRT_MVE_LOOP(INTRT_MVE_WIDE1, 1), code_gap);
  } else {
    static const int32_t zeros[4] = {0, 0, 0, 0};
    int32x4_t total0 = vdupq_n_s32(0), total1 = total0;
    for (; rows > 0; --rows) {
      INTRT_MVE_REPEAT(INTRT_MVE_WIDE1, groups);
      total0 = vaddq_s32(total0, v0);
      total1 = vaddq_s32(total1, v1);
      start = zeros;
      codes += row_step;
      weights += 2 * weight_step;
    }
    v0 = total0;
    v1 = total1;
  }
  memcpy(sums, &v0, 16);
  memcpy(sums + 4, &v1, 16);
#else
  for (int32_t p = 0; p < 2; ++p)
    for (int32_t c = 0; c < 4; ++c) {
      int32_t sum = start[c];
      for (int32_t r = 0; r < rows; ++r)
        for (int32_t t = 0; t < 16 * groups; ++t)
          sum += (int32_t)codes[apart * p + row_step * r + t] *
                 wide_weights[weight_step * r + 32 * (t >> 3) + 8 * c + (t & 7)];
      sums[4 * p + c] = sum;
    }
#endif
}

#if INTRT_HAS_MVE
/* The lanes begin .. end - 1 of 16. */
INTRT_INLINE mve_pred16_t intrt_mve_lanes(int32_t begin, int32_t end) {
  const uint32_t from = begin <= 0 ? 0xffffu : (begin < 16 ? 0xffffu << begin : 0u);
  return end <= 0 ? (mve_pred16_t)0 : (mve_pred16_t)(vctp8q((uint32_t)end) & from);
}
#endif

/* A *panel* gathers the codes under the windows of two positions: tap t of position p is number
 * 32 * (t / 16) + 16 * p + t % 16. This sets the taps first .. first + count - 1 of both positions:
 * tap first + i of position p is codes_p[i - begin_p] where begin_p <= i < end_p, else 0.
 * 0 <= begin_p <= end_p <= count. */
INTRT_INLINE void intrt_mve_panel(int8_t* panel, int32_t first, int32_t count, const int8_t* codes0,
                                  int32_t begin0, int32_t end0, const int8_t* codes1,
                                  int32_t begin1, int32_t end1) {
#if INTRT_HAS_MVE
  const int whole = begin0 == 0 && begin1 == 0 && end0 == count && end1 == count;
  for (int32_t i = 0; i < count;) {
    const int32_t lane = (first + i) & 15, rest = count - i;
    const int32_t n = rest < 16 - lane ? rest : 16 - lane;
    int8_t* to = panel + (2 * (first + i) - lane);
    const mve_pred16_t there = vctp8q((uint32_t)n);
    if (whole) {
      vstrbq_p_s8(to, vldrbq_z_s8(codes0 + i, there), there);
      vstrbq_p_s8(to + 16, vldrbq_z_s8(codes1 + i, there), there);
    } else {
      vstrbq_p_s8(to, vldrbq_z_s8(codes0 + (i - begin0), intrt_mve_lanes(begin0 - i, end0 - i)),
                  there);
      vstrbq_p_s8(to + 16,
                  vldrbq_z_s8(codes1 + (i - begin1), intrt_mve_lanes(begin1 - i, end1 - i)), there);
    }
    i += n;
  }
#else
  for (int32_t i = 0; i < count; ++i) {
    int8_t* to = panel + (2 * (first + i) - ((first + i) & 15));
    to[0] = (int8_t)(i >= begin0 && i < end0 ? codes0[i - begin0] : 0);
    to[16] = (int8_t)(i >= begin1 && i < end1 ? codes1[i - begin1] : 0);
  }
#endif
}

/* The codes of sums: out[apart * p + c] = clamp(floor(sums[4 * p + c] * constants[c] / 2^32) +
 * constants[4 + c], lo, hi) for 4 channels c at 2 positions p: intrt_scale_top of each. */
INTRT_ALWAYS_INLINE void intrt_mve_store_4x2(int8_t* out, int32_t apart, const int32_t* sums,
                                             const int32_t* constants, int32_t lo, int32_t hi) {
#if INTRT_HAS_MVE
  const int32x4_t multiplier = vldrwq_s32(constants), addend = vldrwq_s32(constants + 4);
  const int32x4_t least = vdupq_n_s32(lo), most = vdupq_n_s32(hi);
  for (int32_t p = 0; p < 2; ++p) {
    int32x4_t v;
    memcpy(&v, sums + 4 * p, 16);
    v = vaddq_s32(vmulhq_s32(v, multiplier), addend);
    vstrbq_s32(out + apart * p, vmaxq_s32(vminq_s32(v, most), least));
  }
#else
  for (int32_t p = 0; p < 2; ++p)
    for (int32_t c = 0; c < 4; ++c)
      out[apart * p + c] =
          (int8_t)intrt_scale_top(sums[4 * p + c], constants[c], constants[4 + c], lo, hi);
#endif
}

/* clamp(max(f, min(g, 0)), lo, hi) with f = floor(x * multiplier / 2^32) + down, the quotient
 * rounded down, and g = floor((x + offset) * multiplier / 2^32) + up, the quotient rounded up.
 * |down|, |up| <= 2^30, x + offset fits 32 bits. */
INTRT_INLINE int32_t intrt_mve_toward_zero(int32_t x, int32_t multiplier, int32_t down,
                                           int32_t offset, int32_t up, int32_t lo, int32_t hi) {
  const int32_t f = (int32_t)(((int64_t)x * multiplier) >> 32) + down;
  const int32_t g = (int32_t)(((int64_t)(x + offset) * multiplier) >> 32) + up;
  const int32_t least = g < 0 ? g : 0;
  return intrt_clamp(f > least ? f : least, lo, hi);
}

/* The same, rounded toward zero: out[apart * p + c] is intrt_mve_toward_zero of sums[4 * p + c],
 * constants[c], constants[4 + c], constants[8 + c], constants[12 + c], lo and hi. */
INTRT_ALWAYS_INLINE void intrt_mve_store_toward_zero_4x2(int8_t* out, int32_t apart,
                                                         const int32_t* sums,
                                                         const int32_t* constants, int32_t lo,
                                                         int32_t hi) {
#if INTRT_HAS_MVE
  const int32x4_t multiplier = vldrwq_s32(constants), down = vldrwq_s32(constants + 4);
  const int32x4_t offset = vldrwq_s32(constants + 8), up = vldrwq_s32(constants + 12);
  const int32x4_t zero = vdupq_n_s32(0), least = vdupq_n_s32(lo), most = vdupq_n_s32(hi);
  for (int32_t p = 0; p < 2; ++p) {
    int32x4_t v, f, g;
    memcpy(&v, sums + 4 * p, 16);
    f = vaddq_s32(vmulhq_s32(v, multiplier), down);
    g = vaddq_s32(vmulhq_s32(vaddq_s32(v, offset), multiplier), up);
    f = vmaxq_s32(f, vminq_s32(g, zero));
    vstrbq_s32(out + apart * p, vmaxq_s32(vminq_s32(f, most), least));
  }
#else
  for (int32_t p = 0; p < 2; ++p)
    for (int32_t c = 0; c < 4; ++c)
      out[apart * p + c] =
          (int8_t)intrt_mve_toward_zero(sums[4 * p + c], constants[c], constants[4 + c],
                                        constants[8 + c], constants[12 + c], lo, hi);
#endif
}

/* ---- each channel by itself ----
 *
 * Sums of sixteen channels: that of channel c is number 4 * (c % 4) + c / 4, and so are the other
 * numbers that belong to channels, because widening takes even and odd lanes apart. */

/* The sum of channel c < channels is start[its number] + the products of codes[row_step * r +
 * column_step * k + c] and weights[weight_step * r + 16 * k + c] over the rows r < rows and columns
 * k < columns. The sum of a channel's products fits 16 bits (those on the way need not), the sum
 * 32. 1 <= channels <= 16; `start` may be `sums`; sums of other channels have no meaning. */
INTRT_ALWAYS_INLINE void intrt_mve_channels_dot(int32_t* sums, const int32_t* start,
                                                const int8_t* codes, int32_t row_step,
                                                int32_t column_step, const int8_t* weights,
                                                int32_t weight_step, int32_t rows, int32_t columns,
                                                int32_t channels) {
#if INTRT_HAS_MVE
  int16x8_t even = vdupq_n_s16(0), odd = even;
  int32x4_t v;
  const mve_pred16_t there = vctp8q((uint32_t)channels);
  for (; rows > 0; --rows) {
    const int8_t *x = codes, *w = weights;
#pragma GCC unroll 8
    for (int32_t k = 0; k < columns; ++k) {
      const int8x16_t code = channels == 16 ? vldrbq_s8(x) : vldrbq_z_s8(x, there);
      const int8x16_t weight = vldrbq_s8(w);
      even = vaddq_s16(even, vmullbq_int_s8(code, weight));
      odd = vaddq_s16(odd, vmulltq_int_s8(code, weight));
      x += column_step;
      w += 16;
    }
    codes += row_step;
    weights += weight_step;
  }
#define INTRT_MVE_WIDEN(i, lanes) \
  memcpy(&v, start + (i), 16);    \
  v = vaddq_s32(v, lanes);        \
  memcpy(sums + (i), &v, 16)
  INTRT_MVE_WIDEN(0, vmovlbq_s16(even));
  INTRT_MVE_WIDEN(4, vmovlbq_s16(odd));
  INTRT_MVE_WIDEN(8, vmovltq_s16(even));
  INTRT_MVE_WIDEN(12, vmovltq_s16(odd));
#undef INTRT_MVE_WIDEN
#else
  for (int32_t c = 0; c < channels; ++c) {
    int32_t sum = start[4 * (c & 3) + (c >> 2)];
    for (int32_t r = 0; r < rows; ++r)
      for (int32_t k = 0; k < columns; ++k)
        sum += (int32_t)codes[row_step * r + column_step * k + c] *
               weights[weight_step * r + 16 * k + c];
    sums[4 * (c & 3) + (c >> 2)] = sum;
  }
#endif
}

#if INTRT_HAS_MVE
/* Four vectors of 32-bit lanes, limited to 8 bits and to lo .. hi, as the codes of 16 channels. */
INTRT_ALWAYS_INLINE void intrt_mve_channels_narrow(int8_t* out, const int32x4_t* v, int32_t lo,
                                                   int32_t hi, int32_t channels) {
  const int16x8_t even = vqmovntq_s32(vqmovnbq_s32(vreinterpretq_s16_s32(v[0]), v[0]), v[2]);
  const int16x8_t odd = vqmovntq_s32(vqmovnbq_s32(vreinterpretq_s16_s32(v[1]), v[1]), v[3]);
  int8x16_t code = vqmovntq_s16(vqmovnbq_s16(vreinterpretq_s8_s16(even), even), odd);
  if (lo > -128) code = vmaxq_s8(code, vdupq_n_s8((int8_t)lo));
  if (hi < 127) code = vminq_s8(code, vdupq_n_s8((int8_t)hi));
  if (channels == 16)
    vstrbq_s8(out, code);
  else
    vstrbq_p_s8(out, code, vctp8q((uint32_t)channels));
}
#endif

/* The codes of such sums: for channel c < channels, whose number is n, out[c] =
 * clamp(floor(sums[n] * constants[n] / 2^32) + constants[16 + n], lo, hi): intrt_scale_top.
 * -128 <= lo <= hi <= 127. */
INTRT_ALWAYS_INLINE void intrt_mve_channels_store(int8_t* out, const int32_t* sums,
                                                  const int32_t* constants, int32_t lo, int32_t hi,
                                                  int32_t channels) {
#if INTRT_HAS_MVE
  int32x4_t v[4];
#pragma GCC unroll 4
  for (int32_t i = 0; i < 4; ++i) {
    memcpy(&v[i], sums + 4 * i, 16);
    v[i] = vaddq_s32(vmulhq_s32(v[i], vldrwq_s32(constants + 4 * i)),
                     vldrwq_s32(constants + 16 + 4 * i));
  }
  intrt_mve_channels_narrow(out, v, lo, hi, channels);
#else
  for (int32_t c = 0; c < channels; ++c) {
    const int32_t n = 4 * (c & 3) + (c >> 2);
    out[c] = (int8_t)intrt_scale_top(sums[n], constants[n], constants[16 + n], lo, hi);
  }
#endif
}

/* The same, rounded toward zero as in intrt_mve_store_toward_zero_4x2, with constants[32 + n] and
 * constants[48 + n] as its numbers 8 and 12. */
INTRT_ALWAYS_INLINE void intrt_mve_channels_store_toward_zero(int8_t* out, const int32_t* sums,
                                                              const int32_t* constants, int32_t lo,
                                                              int32_t hi, int32_t channels) {
#if INTRT_HAS_MVE
  int32x4_t v[4];
#pragma GCC unroll 4
  for (int32_t i = 0; i < 4; ++i) {
    const int32x4_t multiplier = vldrwq_s32(constants + 4 * i);
    int32x4_t f, g;
    memcpy(&v[i], sums + 4 * i, 16);
    f = vaddq_s32(vmulhq_s32(v[i], multiplier), vldrwq_s32(constants + 16 + 4 * i));
    g = vaddq_s32(v[i], vldrwq_s32(constants + 32 + 4 * i));
    g = vaddq_s32(vmulhq_s32(g, multiplier), vldrwq_s32(constants + 48 + 4 * i));
    v[i] = vmaxq_s32(f, vminq_s32(g, vdupq_n_s32(0)));
  }
  intrt_mve_channels_narrow(out, v, lo, hi, channels);
#else
  for (int32_t c = 0; c < channels; ++c) {
    const int32_t n = 4 * (c & 3) + (c >> 2);
    out[c] = (int8_t)intrt_mve_toward_zero(sums[n], constants[n], constants[16 + n],
                                           constants[32 + n], constants[48 + n], lo, hi);
  }
#endif
}

/* ---- masks ---- */

/* out[i] = 0 for each i < count whose bit, i % 8 of mask[i / 8], is 0. */
INTRT_INLINE void intrt_mve_keep(int8_t* out, const uint8_t* mask, int32_t count) {
#if INTRT_HAS_MVE
  /* GCC 12 takes a store of some lanes for one of all, and leaves out those before it. */
  __asm__ volatile("" ::: "memory");
  for (; count > 0; count -= 16) {
    const uint32_t bits = mask[0] | (count > 8 ? (uint32_t)mask[1] << 8 : 0u);
    vstrbq_p_s8(out, vdupq_n_s8(0), (mve_pred16_t)(vctp8q((uint32_t)count) & ~bits));
    out += 16;
    mask += 2;
  }
#else
  for (int32_t i = 0; i < count; ++i)
    if (((mask[i >> 3] >> (i & 7)) & 1) == 0) out[i] = 0;
#endif
}

/* ---- sums of two tensors ---- */

#if INTRT_HAS_MVE
/* (x + y) / 2^shift, 0 <= shift <= 8; with a shift of 0 limited to -128 .. 127. Halving before all
 * else loses nothing: rounding down twice, or up twice, rounds once. */
INTRT_ALWAYS_INLINE int8x16_t intrt_mve_half_sums(int8x16_t x, int8x16_t y, int32_t shift,
                                                  int32_t rounding) {
  int8x16_t down, up;
  if (shift == 0) return vqaddq_s8(x, y);
  down = vshlq_r_s8(vhaddq_s8(x, y), 1 - shift);
  if (rounding == INTRT_ROUND_FLOOR) return down;
  up = vqaddq_n_s8(vrhaddq_s8(x, y), (int8_t)((1 << (shift - 1)) - 1));
  return vmaxq_s8(down, vminq_s8(vshlq_r_s8(up, 1 - shift), vdupq_n_s8(0)));
}
#endif

/* out[i] = clamp(round((multiplier0 * a[i] + multiplier1 * b[i]) / 2^shift), lo, hi) for 0 <= i <
 * count. 0 <= shift <= 15, the products and their sum plus 2^shift fit 16 bits, -128 <= lo <= hi <=
 * 127; rounding is INTRT_ROUND_TOWARD_ZERO or INTRT_ROUND_FLOOR. out may be a or b. */
INTRT_ALWAYS_INLINE void intrt_mve_add(int8_t* out, const int8_t* a, const int8_t* b, int32_t count,
                                       int32_t multiplier0, int32_t multiplier1, int32_t shift,
                                       int32_t rounding, int32_t lo, int32_t hi) {
#if INTRT_HAS_MVE
  if (multiplier0 == 1 && multiplier1 == 1 && shift <= 8) {
    const int8x16_t least = vdupq_n_s8((int8_t)lo), most = vdupq_n_s8((int8_t)hi);
    for (; count >= 16; count -= 16) {
      const int8x16_t v = intrt_mve_half_sums(vldrbq_s8(a), vldrbq_s8(b), shift, rounding);
      vstrbq_s8(out, vminq_s8(vmaxq_s8(v, least), most));
      a += 16;
      b += 16;
      out += 16;
    }
    if (count > 0) {
      const mve_pred16_t there = vctp8q((uint32_t)count);
      const int8x16_t v =
          intrt_mve_half_sums(vldrbq_z_s8(a, there), vldrbq_z_s8(b, there), shift, rounding);
      vstrbq_p_s8(out, vminq_s8(vmaxq_s8(v, least), most), there);
    }
    return;
  }
  for (; count > 0; count -= 8) {
    const mve_pred16_t there = vctp16q((uint32_t)count);
    int16x8_t v = vaddq_s16(vmulq_n_s16(vldrbq_z_s16(a, there), (int16_t)multiplier0),
                            vmulq_n_s16(vldrbq_z_s16(b, there), (int16_t)multiplier1));
    if (rounding == INTRT_ROUND_TOWARD_ZERO)
      v = vaddq_s16(v, vandq_s16(vshrq_n_s16(v, 15), vdupq_n_s16((int16_t)((1 << shift) - 1))));
    v = vshlq_r_s16(v, -shift);
    v = vminq_s16(vmaxq_s16(v, vdupq_n_s16((int16_t)lo)), vdupq_n_s16((int16_t)hi));
    vstrbq_p_s16(out, v, there);
    a += 8;
    b += 8;
    out += 8;
  }
#else
  for (int32_t i = 0; i < count; ++i)
    out[i] = (int8_t)intrt_clamp(
        intrt_shift_right(multiplier0 * a[i] + multiplier1 * b[i], shift, rounding), lo, hi);
#endif
}

#endif /* INTRT_MICRO_MVE_H_ */
