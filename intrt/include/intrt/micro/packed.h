/* Sums of products on cores without instructions for several products: two positions share a
 * 32-bit word, so that one multiplication makes two products. Valid as C99. Generated C takes in
 * this text.
 *
 * A *panel* has two words for each tap: the codes of positions 0 and 1, and of 2 and 3; a word is
 * the first code + 65536 times the second. Times a weight, and summed, it holds the sum of the
 * first in its low half and that of the second in its high half, as long as neither leaves 16 bits.
 * So the taps come in *chunks* that are short enough for that, as the weights and codes at hand
 * are; after each chunk the halves are added to sums of 32 bits. */
#ifndef INTRT_MICRO_PACKED_H_
#define INTRT_MICRO_PACKED_H_

#include <stdint.h>

/* Which assembly there is for the innermost loops. */
#if defined(__GNUC__) && defined(__thumb__) && defined(__thumb2__)
#define INTRT_PACKED_THUMB2 1
#elif defined(__GNUC__) && defined(__thumb__)
#define INTRT_PACKED_THUMB1 1
#elif defined(__GNUC__) && defined(__riscv) && __riscv_xlen == 32 && defined(__riscv_mul) && \
    !defined(__riscv_32e)
#define INTRT_PACKED_RV32 1
#endif

/* The taps first .. first + count - 1 of the four positions: tap first + i of position p is
 * codes[p * step + i - begin] where begin <= p * step + i < end, else 0. begin >= 0. */
static INTRT_NOINLINE void intrt_packed_panel(int32_t* panel, int32_t first, int32_t count,
                                              const int8_t* codes, int32_t step, int32_t begin,
                                              int32_t end) {
  int32_t p, i;
  panel += 2 * first;
  if (begin == 0 && end >= 3 * step + count) {
    const int8_t* const codes1 = codes + step;
    const int8_t* const codes2 = codes1 + step;
    const int8_t* const codes3 = codes2 + step;
    for (i = 0; i + 2 <= count; i += 2) {
      panel[0] = codes[i] + codes1[i] * 65536;
      panel[1] = codes2[i] + codes3[i] * 65536;
      panel[2] = codes[i + 1] + codes1[i + 1] * 65536;
      panel[3] = codes2[i + 1] + codes3[i + 1] * 65536;
      panel += 4;
    }
    if (i < count) {
      panel[0] = codes[i] + codes1[i] * 65536;
      panel[1] = codes2[i] + codes3[i] * 65536;
    }
    return;
  }
  for (i = 0; i < count; ++i)
    for (p = 0; p < 4; p += 2) {
      int32_t at = p * step + i;
      int32_t code0 = at >= begin && at < end ? codes[at - begin] : 0;
      int32_t code1 = at + step >= begin && at + step < end ? codes[at + step - begin] : 0;
      *panel++ = code0 + code1 * 65536;
    }
}

/* The same of two positions, whose words these are (panel or panel + 1): tap first + i of position
 * p is codes_p[i - begin_p] where begin_p <= i < end_p, else 0. begin_p >= 0. */
static INTRT_NOINLINE void intrt_packed_pair(int32_t* panel, int32_t first, int32_t count,
                                             const int8_t* codes0, int32_t begin0, int32_t end0,
                                             const int8_t* codes1, int32_t begin1, int32_t end1) {
  int32_t i;
  panel += 2 * first;
  for (i = 0; i < count; ++i) {
    int32_t code0 = i >= begin0 && i < end0 ? codes0[i - begin0] : 0;
    int32_t code1 = i >= begin1 && i < end1 ? codes1[i - begin1] : 0;
    *panel = code0 + code1 * 65536;
    panel += 2;
  }
}

/* sums[4 * c + p] = start[c] + the products of channel c and position p, over all taps; the weight
 * of tap t of channel c is weights[4 * t + c]. Chunk n has 2 * lengths[n] taps; for each n, c and p
 * the sum of its products lies in -32768 .. 32767. No sum leaves 32 bits on the way, in whatever
 * order the products come. chunks >= 1, lengths[n] >= 1. */
#if defined(INTRT_PACKED_RV32)
/* a1 the end of the chunk's weights, a2 panel, a3 weights, a4 lengths, a6 and a7 the panel's words,
 * t0 weight, t1 product, t2 .. t6, a0, a5 and s0 the chunk's sums of both positions, s1 .. s11 and
 * ra the first twelve of the sums of both positions, modulo 2^32, and of the second; on the stack
 * the others, sums and the end of lengths. */
/* clang-format off */
#define INTRT_PACKED_FIRST(at, a, b) \
  "lb t0, " at "(a3)\n" \
  "mul " a ", a6, t0\n" \
  "mul " b ", a7, t0\n"
#define INTRT_PACKED_NEXT(at, a, b) \
  "lb t0, " at "(a3)\n" \
  "mul t1, a6, t0\n" \
  "mul t0, a7, t0\n" \
  "add " a ", " a ", t1\n" \
  "add " b ", " b ", t0\n"
#define INTRT_PACKED_TAP(channel, at0, at1, w0, w1, w2, w3) \
  "lw a6, " at0 "(a2)\n" \
  "lw a7, " at1 "(a2)\n" \
  channel(w0, "t2", "t3") \
  channel(w1, "t4", "t5") \
  channel(w2, "t6", "a0") \
  channel(w3, "a5", "s0")
#define INTRT_PACKED_START(at, both0, second0, both1, second1) \
  "lw " second0 ", " at "(a1)\n" \
  "slli " both0 ", " second0 ", 16\n" \
  "add " both0 ", " both0 ", " second0 "\n" \
  "mv " both1 ", " both0 "\n" \
  "mv " second1 ", " second0 "\n"
#define INTRT_PACKED_ADD(a, both, second) \
  "add " both ", " both ", " a "\n" \
  "add " a ", " a ", t1\n" \
  "srai " a ", " a ", 16\n" \
  "add " second ", " second ", " a "\n"
#define INTRT_PACKED_STORE(at0, at1, both, second) \
  "slli t1, " second ", 16\n" \
  "sub t1, " both ", t1\n" \
  "sw t1, " at0 "(a0)\n" \
  "sw " second ", " at1 "(a0)\n"
#define INTRT_PACKED_TWO(op, at0, at1) \
  op " a6, " at0 "(sp)\n" \
  op " a7, " at1 "(sp)\n"
#define INTRT_PACKED_SAVED(op) \
  op " ra, 0(sp)\n" op " s0, 4(sp)\n" op " s1, 8(sp)\n" op " s2, 12(sp)\n" op " s3, 16(sp)\n" \
  op " s4, 20(sp)\n" op " s5, 24(sp)\n" op " s6, 28(sp)\n" op " s7, 32(sp)\n" \
  op " s8, 36(sp)\n" op " s9, 40(sp)\n" op " s10, 44(sp)\n" op " s11, 48(sp)\n"
static __attribute__((naked, noinline, unused)) void intrt_packed_dot_4x4(
    int32_t* sums __attribute__((unused)), const int32_t* start __attribute__((unused)),
    const int32_t* panel __attribute__((unused)), const int8_t* weights __attribute__((unused)),
    const uint8_t* lengths __attribute__((unused)), int32_t chunks __attribute__((unused))) {
  __asm__(
      "addi sp, sp, -80\n"
      INTRT_PACKED_SAVED("sw")
      "add a5, a5, a4\n"
      "sw a5, 52(sp)\n"
      "sw a0, 56(sp)\n"
      INTRT_PACKED_START("0", "s1", "s2", "s3", "s4")
      INTRT_PACKED_START("4", "s5", "s6", "s7", "s8")
      INTRT_PACKED_START("8", "s9", "s10", "s11", "ra")
      INTRT_PACKED_START("12", "a6", "a7", "t2", "t3")
      INTRT_PACKED_TWO("sw", "60", "64")
      INTRT_PACKED_TWO("sw", "68", "72")
      "1:\n"
      "lbu a1, 0(a4)\n"
      "addi a4, a4, 1\n"
      "slli a1, a1, 3\n"
      "add a1, a1, a3\n"
      INTRT_PACKED_TAP(INTRT_PACKED_FIRST, "0", "4", "0", "1", "2", "3")
      INTRT_PACKED_TAP(INTRT_PACKED_NEXT, "8", "12", "4", "5", "6", "7")
      "sub t0, a1, a3\n"
      "andi t0, t0, 8\n"
      "beqz t0, 3f\n"
      "addi a2, a2, 16\n"
      "addi a3, a3, 8\n"
      "beq a3, a1, 4f\n"
      "2:\n"
      INTRT_PACKED_TAP(INTRT_PACKED_NEXT, "0", "4", "0", "1", "2", "3")
      INTRT_PACKED_TAP(INTRT_PACKED_NEXT, "8", "12", "4", "5", "6", "7")
      "3:\n"
      INTRT_PACKED_TAP(INTRT_PACKED_NEXT, "16", "20", "8", "9", "10", "11")
      INTRT_PACKED_TAP(INTRT_PACKED_NEXT, "24", "28", "12", "13", "14", "15")
      "addi a2, a2, 32\n"
      "addi a3, a3, 16\n"
      "bne a3, a1, 2b\n"
      "4:\n"
      "lui t1, 8\n"
      INTRT_PACKED_ADD("t2", "s1", "s2")
      INTRT_PACKED_ADD("t3", "s3", "s4")
      INTRT_PACKED_ADD("t4", "s5", "s6")
      INTRT_PACKED_ADD("t5", "s7", "s8")
      INTRT_PACKED_ADD("t6", "s9", "s10")
      INTRT_PACKED_ADD("a0", "s11", "ra")
      INTRT_PACKED_TWO("lw", "60", "64")
      INTRT_PACKED_ADD("a5", "a6", "a7")
      INTRT_PACKED_TWO("sw", "60", "64")
      INTRT_PACKED_TWO("lw", "68", "72")
      INTRT_PACKED_ADD("s0", "a6", "a7")
      INTRT_PACKED_TWO("sw", "68", "72")
      "lw t0, 52(sp)\n"
      "bne a4, t0, 1b\n"
      "lw a0, 56(sp)\n"
      INTRT_PACKED_STORE("0", "4", "s1", "s2")
      INTRT_PACKED_STORE("8", "12", "s3", "s4")
      INTRT_PACKED_STORE("16", "20", "s5", "s6")
      INTRT_PACKED_STORE("24", "28", "s7", "s8")
      INTRT_PACKED_STORE("32", "36", "s9", "s10")
      INTRT_PACKED_STORE("40", "44", "s11", "ra")
      INTRT_PACKED_TWO("lw", "60", "64")
      INTRT_PACKED_STORE("48", "52", "a6", "a7")
      INTRT_PACKED_TWO("lw", "68", "72")
      INTRT_PACKED_STORE("56", "60", "a6", "a7")
      INTRT_PACKED_SAVED("lw")
      "addi sp, sp, 80\n"
      "ret\n");
}
/* clang-format on */
#undef INTRT_PACKED_FIRST
#undef INTRT_PACKED_NEXT
#undef INTRT_PACKED_TAP
#undef INTRT_PACKED_START
#undef INTRT_PACKED_ADD
#undef INTRT_PACKED_STORE
#undef INTRT_PACKED_TWO
#undef INTRT_PACKED_SAVED
#else
/* For each channel c and word q of the panel, sums[4 * c + 2 * q] += each chunk's sum of products +
 * 32768, modulo 2^32; sums[4 * c + 2 * q + 1] += each chunk's sum of products of the second
 * position. */
#define INTRT_PACKED_ASSEMBLY                                                              \
  static __attribute__((naked, noinline, unused)) void intrt_packed_chunks(                \
      int32_t* sums __attribute__((unused)), const int32_t* panel __attribute__((unused)), \
      const int8_t* weights __attribute__((unused)),                                       \
      const uint8_t* lengths __attribute__((unused)),                                      \
      const uint8_t* lengths_end __attribute__((unused)))
#if defined(INTRT_PACKED_THUMB2)
/* r0 panel, r1 weights, r2 pairs of taps left, r3 weight, r4 .. r11 sums of the chunk, r12 and lr
 * the panel's words. MLA is preferred to SMLAL, which would need no chunks but takes 4 to 7 cycles
 * on Cortex-M3, MLA 2. */
/* clang-format off */
#define INTRT_PACKED_CHANNEL(a, b) \
  "ldrsb r3, [r1], #1\n" \
  "mla " a ", r12, r3, " a "\n" \
  "mla " b ", lr, r3, " b "\n"
#define INTRT_PACKED_TAP \
  "ldrd r12, lr, [r0], #8\n" \
  INTRT_PACKED_CHANNEL("r4", "r5") \
  INTRT_PACKED_CHANNEL("r6", "r7") \
  INTRT_PACKED_CHANNEL("r8", "r9") \
  INTRT_PACKED_CHANNEL("r10", "r11")
#define INTRT_PACKED_ADD(a, at) \
  "ldrd r2, r3, [lr, #" at "]\n" \
  "add r2, r2, " a "\n" \
  "add r3, r3, " a ", asr #16\n" \
  "strd r2, r3, [lr, #" at "]\n"
INTRT_PACKED_ASSEMBLY {
  __asm__(
      ".syntax unified\n"
      "push {r0, r3, r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}\n" /* sums, lengths; end: 48 */
      "mov r0, r1\n"
      "mov r1, r2\n"
      "mov r2, r3\n"
      "1:\n"
      "ldrb r3, [r2], #1\n"
      "str r2, [sp, #4]\n"
      "mov r2, r3\n"
      "mov r4, #32768\n"
      "mov r5, r4\n"
      "mov r6, r4\n"
      "mov r7, r4\n"
      "mov r8, r4\n"
      "mov r9, r4\n"
      "mov r10, r4\n"
      "mov r11, r4\n"
      "2:\n"
      INTRT_PACKED_TAP
      INTRT_PACKED_TAP
      "subs r2, r2, #1\n"
      "bne 2b\n"
      "ldr lr, [sp]\n"
      INTRT_PACKED_ADD("r4", "0")
      INTRT_PACKED_ADD("r5", "8")
      INTRT_PACKED_ADD("r6", "16")
      INTRT_PACKED_ADD("r7", "24")
      INTRT_PACKED_ADD("r8", "32")
      INTRT_PACKED_ADD("r9", "40")
      INTRT_PACKED_ADD("r10", "48")
      INTRT_PACKED_ADD("r11", "56")
      "ldr r2, [sp, #4]\n"
      "ldr r3, [sp, #48]\n"
      "cmp r2, r3\n"
      "bne 1b\n"
      "add sp, sp, #8\n"
      "pop {r4, r5, r6, r7, r8, r9, r10, r11, r12, pc}\n");
}
/* clang-format on */
#undef INTRT_PACKED_CHANNEL
#undef INTRT_PACKED_TAP
#undef INTRT_PACKED_ADD
#elif defined(INTRT_PACKED_THUMB1)
/* Two channels at a time: r0 and r1 their weights at the end of the chunk, r2 where in them, r3
 * panel, r4 and r5 its words, r6 weight, r7 product, r8 .. r11 sums of the chunk, r12 lengths, lr
 * sums. */
/* clang-format off */
#define INTRT_PACKED_TAP \
  "ldmia r3!, {r4, r5}\n" \
  "ldrsb r6, [r0, r2]\n" \
  "movs r7, r6\n" \
  "muls r7, r4, r7\n" \
  "add r8, r8, r7\n" \
  "muls r6, r5, r6\n" \
  "add r9, r9, r6\n" \
  "ldrsb r6, [r1, r2]\n" \
  "muls r4, r6, r4\n" \
  "add r10, r10, r4\n" \
  "muls r5, r6, r5\n" \
  "add r11, r11, r5\n" \
  "adds r2, r2, #4\n"
#define INTRT_PACKED_ADD(a, b) \
  "ldmia r2!, {r4, r5, r6, r7}\n" \
  "add r4, r4, " a "\n" \
  "mov r1, " a "\n" \
  "asrs r1, r1, #16\n" \
  "adds r5, r5, r1\n" \
  "add r6, r6, " b "\n" \
  "mov r1, " b "\n" \
  "asrs r1, r1, #16\n" \
  "adds r7, r7, r1\n" \
  "subs r2, r2, #16\n" \
  "stmia r2!, {r4, r5, r6, r7}\n"
INTRT_PACKED_ASSEMBLY {
  __asm__(
      ".syntax unified\n"
      "push {r4, r5, r6, r7, lr}\n"
      "mov r4, r8\n"
      "mov r5, r9\n"
      "mov r6, r10\n"
      "mov r7, r11\n"
      "push {r4, r5, r6, r7}\n"
      "adds r7, r2, #2\n" /* weights of the second pass */
      "mov r6, r3\n"      /* lengths */
      "mov r5, r1\n"      /* panel */
      "movs r4, #0\n"     /* 1 in the second pass */
      "push {r4, r5, r6, r7}\n" /* lengths_end: 52 */
      "mov lr, r0\n"
      "mov r0, r2\n"
      "0:\n"
      "mov r4, r3\n" /* lengths */
      "mov r3, r1\n" /* panel */
      "1:\n"
      "ldrb r2, [r4]\n"
      "adds r4, r4, #1\n"
      "mov r12, r4\n"
      "movs r1, #128\n"
      "lsls r1, r1, #8\n"
      "mov r8, r1\n"
      "mov r9, r1\n"
      "mov r10, r1\n"
      "mov r11, r1\n"
      "lsls r2, r2, #3\n"
      "adds r0, r0, r2\n"
      "adds r1, r0, #1\n"
      "rsbs r2, r2, #0\n"
      "2:\n"
      INTRT_PACKED_TAP
      INTRT_PACKED_TAP
      "bne 2b\n"
      "mov r2, lr\n"
      INTRT_PACKED_ADD("r8", "r9")
      INTRT_PACKED_ADD("r10", "r11")
      "mov r4, r12\n"
      "ldr r5, [sp, #52]\n"
      "cmp r4, r5\n"
      "bne 1b\n"
      "mov lr, r2\n"
      "ldr r4, [sp]\n"
      "adds r4, r4, #1\n"
      "str r4, [sp]\n"
      "ldr r1, [sp, #4]\n"
      "ldr r3, [sp, #8]\n"
      "ldr r0, [sp, #12]\n"
      "cmp r4, #1\n"
      "beq 0b\n"
      "add sp, sp, #16\n"
      "pop {r4, r5, r6, r7}\n"
      "mov r8, r4\n"
      "mov r9, r5\n"
      "mov r10, r6\n"
      "mov r11, r7\n"
      "pop {r4, r5, r6, r7, pc}\n");
}
/* clang-format on */
#undef INTRT_PACKED_TAP
#undef INTRT_PACKED_ADD
#else
static INTRT_NOINLINE void intrt_packed_chunks(int32_t* sums, const int32_t* panel,
                                               const int8_t* weights, const uint8_t* lengths,
                                               const uint8_t* lengths_end) {
  while (lengths != lengths_end) {
    int32_t n = *lengths++, i;
    uint32_t both[8];
    for (i = 0; i < 8; ++i) both[i] = 32768u;
    for (n *= 2; n > 0; --n) {
      uint32_t codes0 = (uint32_t)panel[0], codes1 = (uint32_t)panel[1];
      for (i = 0; i < 4; ++i) {
        uint32_t weight = (uint32_t)weights[i];
        both[2 * i] += codes0 * weight;
        both[2 * i + 1] += codes1 * weight;
      }
      panel += 2;
      weights += 4;
    }
    for (i = 0; i < 8; ++i) {
      sums[2 * i] = (int32_t)((uint32_t)sums[2 * i] + both[i]);
      sums[2 * i + 1] += (int32_t)both[i] >> 16;
    }
  }
}
#endif

static INTRT_NOINLINE void intrt_packed_dot_4x4(int32_t* sums, const int32_t* start,
                                                const int32_t* panel, const int8_t* weights,
                                                const uint8_t* lengths, int32_t chunks) {
  /* First the sum of the second position beside both, the first and 65536 times the second. */
  const uint32_t added = (uint32_t)chunks << 15;
  int32_t i;
  for (i = 0; i < 8; ++i) {
    int32_t first = start[i >> 1];
    sums[2 * i] = (int32_t)((uint32_t)first * 65537u - added);
    sums[2 * i + 1] = first;
  }
  intrt_packed_chunks(sums, panel, weights, lengths, lengths + chunks);
  for (i = 0; i < 8; ++i)
    sums[2 * i] = (int32_t)((uint32_t)sums[2 * i] - ((uint32_t)sums[2 * i + 1] << 16));
}
#endif

#endif /* INTRT_MICRO_PACKED_H_ */
