/* Sums of products at one position, four output channels at a time: linear layers. Codes are read
 * where they are, each once for the four channels. On Arm cores with the DSP extension (Cortex-M4,
 * M7, M33, M35P) a multiplication takes a pair of codes and a pair of weights; on Cortex-M0 and M3
 * and RV32 a code and the weights of two channels. Valid as C99; on other cores the same functions
 * are plain C with the same results. Generated C takes in this text. */
#ifndef INTRT_MICRO_LINEAR_H_
#define INTRT_MICRO_LINEAR_H_

#include <stdint.h>

/* Which assembly there is. */
#if defined(__GNUC__) && defined(__thumb2__) && defined(__ARM_FEATURE_DSP)
#define INTRT_LINEAR_DSP 1
#endif
#if defined(__GNUC__) && defined(__thumb__) && defined(__thumb2__)
#define INTRT_LINEAR_THUMB2 1
#elif defined(__GNUC__) && defined(__thumb__)
#define INTRT_LINEAR_THUMB1 1
#elif defined(__GNUC__) && defined(__riscv) && __riscv_xlen == 32 && defined(__riscv_mul) && \
    !defined(__riscv_32e)
#define INTRT_LINEAR_RV32 1
#endif

/* sums[c] = start[c] + the products of channel c, over 4 * groups taps, groups >= 1: the weight of
 * tap t of channel c is number 16 * (t / 4) + 8 * (t % 2) + 2 * c + t / 2 % 2. Codes and weights
 * begin at a multiple of 4 bytes. No sum leaves 32 bits on the way, in whatever order the products
 * come. */
#if defined(INTRT_LINEAR_DSP)
/* r0 and r1 two codes each, r2 codes, r3 weights, r4 .. r7 sums, r8 .. r11 weights, r12 groups. */
/* clang-format off */
#define INTRT_LINEAR_GROUP16 \
  "ldr r1, [r2], #4\n" \
  "ldmia r3!, {r8, r9, r10, r11}\n" \
  "sxtb16 r0, r1\n" \
  "sxtb16 r1, r1, ror #8\n" \
  "smlad r4, r0, r8, r4\n" \
  "smlad r5, r0, r9, r5\n" \
  "smlad r6, r0, r10, r6\n" \
  "smlad r7, r0, r11, r7\n" \
  "ldmia r3!, {r8, r9, r10, r11}\n" \
  "smlad r4, r1, r8, r4\n" \
  "smlad r5, r1, r9, r5\n" \
  "smlad r6, r1, r10, r6\n" \
  "smlad r7, r1, r11, r7\n"
/* As many as r12 says, four at a time. */
#define INTRT_LINEAR_GROUPS(group) \
  "subs r12, r12, #4\n" \
  "blo 2f\n" \
  "1:\n" \
  group group group group \
  "subs r12, r12, #4\n" \
  "bhs 1b\n" \
  "2:\n" \
  "adds r12, r12, #4\n" \
  "beq 4f\n" \
  "3:\n" \
  group \
  "subs r12, r12, #1\n" \
  "bne 3b\n" \
  "4:\n"
static __attribute__((naked, noinline, unused)) void intrt_linear_dot16(
    int32_t* sums __attribute__((unused)), const int32_t* start __attribute__((unused)),
    const int8_t* codes __attribute__((unused)), const int16_t* weights __attribute__((unused)),
    int32_t groups __attribute__((unused))) {
  __asm__(
      ".syntax unified\n"
      "push {r0, r4, r5, r6, r7, r8, r9, r10, r11, lr}\n" /* groups: 40 */
      "ldr r12, [sp, #40]\n"
      "ldmia r1, {r4, r5, r6, r7}\n"
      INTRT_LINEAR_GROUPS(INTRT_LINEAR_GROUP16)
      "pop {r0}\n"
      "stmia r0, {r4, r5, r6, r7}\n"
      "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n");
}
/* clang-format on */
#undef INTRT_LINEAR_GROUP16
#else
static INTRT_NOINLINE void intrt_linear_dot16(int32_t* sums, const int32_t* start,
                                              const int8_t* codes, const int16_t* weights,
                                              int32_t groups) {
  int32_t c, t;
  for (c = 0; c < 4; ++c) {
    int32_t sum = start[c];
    for (t = 0; t < 4 * groups; ++t)
      sum += (int32_t)codes[t] * weights[16 * (t >> 2) + 8 * (t & 1) + 2 * c + ((t >> 1) & 1)];
    sums[c] = sum;
  }
}
#endif

/* The same with the weights of two channels in a number: a + 256 * b, which fits 16 bits as a and b
 * fit 8. Number 8 * (t / 4) + 4 * (t % 2) + 2 * d + t / 2 % 2 holds those of tap t of the channels
 * 2 * d and 2 * d + 1. The products of each channel sum up to 24 bits at most. */
#if defined(INTRT_LINEAR_DSP)
/* r4 and r6 are the sums of channels 0 and 2; r5 and r7 those and 256 times those of 1 and 3,
 * modulo 2^32; the other registers as above. */
/* clang-format off */
#define INTRT_LINEAR_PAIR8(x, w, first, both) \
  "smlad " both ", " x ", " w ", " both "\n" \
  "sxtb16 " w ", " w "\n" \
  "smlad " first ", " x ", " w ", " first "\n"
#define INTRT_LINEAR_GROUP8 \
  "ldr r1, [r2], #4\n" \
  "ldmia r3!, {r8, r9, r10, r11}\n" \
  "sxtb16 r0, r1\n" \
  "sxtb16 r1, r1, ror #8\n" \
  INTRT_LINEAR_PAIR8("r0", "r8", "r4", "r5") \
  INTRT_LINEAR_PAIR8("r0", "r9", "r6", "r7") \
  INTRT_LINEAR_PAIR8("r1", "r10", "r4", "r5") \
  INTRT_LINEAR_PAIR8("r1", "r11", "r6", "r7")
static __attribute__((naked, noinline, unused)) void intrt_linear_dot8(
    int32_t* sums __attribute__((unused)), const int32_t* start __attribute__((unused)),
    const int8_t* codes __attribute__((unused)), const int16_t* weights __attribute__((unused)),
    int32_t groups __attribute__((unused))) {
  __asm__(
      ".syntax unified\n"
      "push {r0, r1, r4, r5, r6, r7, r8, r9, r10, r11, lr}\n" /* groups: 44 */
      "ldr r12, [sp, #44]\n"
      "ldr r4, [r1]\n"
      "ldr r6, [r1, #8]\n"
      "mov r5, r4\n"
      "mov r7, r6\n"
      INTRT_LINEAR_GROUPS(INTRT_LINEAR_GROUP8)
      "pop {r0, r1}\n"
      "ldr r2, [r1, #4]\n"
      "ldr r3, [r1, #12]\n"
      "sub r5, r5, r4\n"
      "sub r7, r7, r6\n"
      "add r5, r2, r5, asr #8\n"
      "add r7, r3, r7, asr #8\n"
      "stmia r0, {r4, r5, r6, r7}\n"
      "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n");
}
/* clang-format on */
#undef INTRT_LINEAR_PAIR8
#undef INTRT_LINEAR_GROUP8
#undef INTRT_LINEAR_GROUPS
#else
static INTRT_NOINLINE void intrt_linear_dot8(int32_t* sums, const int32_t* start,
                                             const int8_t* codes, const int16_t* weights,
                                             int32_t groups) {
  int32_t d, t;
  for (d = 0; d < 2; ++d) {
    int32_t first = start[2 * d], second = start[2 * d + 1];
    for (t = 0; t < 4 * groups; ++t) {
      const int32_t both = weights[8 * (t >> 2) + 4 * (t & 1) + 2 * d + ((t >> 1) & 1)];
      const int32_t low = (int8_t)(both & 255);
      first += codes[t] * low;
      second += codes[t] * ((both - low) >> 8);
    }
    sums[2 * d] = first;
    sums[2 * d + 1] = second;
  }
}
#endif

/* The same with the weights of two channels in a word: a + 65536 * b, a and b of 16 bits. Word
 * 2 * t + d holds those of tap t of the channels 2 * d and 2 * d + 1. Chunk n has 2 * lengths[n]
 * taps; the sum of its products lies in -32768 .. 32767 for each n and channel. chunks >= 1,
 * lengths[n] >= 1. Codes may lie anywhere. */
#if defined(INTRT_LINEAR_THUMB2) || defined(INTRT_LINEAR_THUMB1) || defined(INTRT_LINEAR_RV32)
/* What is summed up is channel 2 * d + 65536 times channel 2 * d + 1, modulo 2^32, and beside it
 * channel 2 * d + 1. Each chunk begins at 32768, so that the high half is the latter alone. */
#define INTRT_LINEAR_ASSEMBLY                                                                    \
  static __attribute__((naked, noinline, unused)) void intrt_linear_packed(                      \
      int32_t* sums __attribute__((unused)), const int32_t* start __attribute__((unused)),       \
      const int8_t* codes __attribute__((unused)), const int32_t* words __attribute__((unused)), \
      const uint8_t* lengths __attribute__((unused)), int32_t chunks __attribute__((unused)))
#endif
/* clang-format off */
#if defined(INTRT_LINEAR_THUMB2)
/* r0 codes, r1 words, r2 code, r3 what is left of the chunk, r4 and r6 both sums, r5 and r7 the
 * second ones, r8 .. r11 words, r12 and lr sums of the chunk; on the stack lengths and their end. */
#define INTRT_LINEAR_TAPS \
  "ldrsb r2, [r0], #1\n" \
  "ldmia r1!, {r8, r9, r10, r11}\n" \
  "mla r12, r2, r8, r12\n" \
  "mla lr, r2, r9, lr\n" \
  "ldrsb r2, [r0], #1\n" \
  "mla r12, r2, r10, r12\n" \
  "mla lr, r2, r11, lr\n"
INTRT_LINEAR_ASSEMBLY {
  __asm__(
      ".syntax unified\n"
      "push {r0, r4, r5, r6, r7, r8, r9, r10, r11, lr}\n" /* lengths: 40, chunks: 44 */
      "mov r0, r2\n"
      "ldmia r1, {r4, r5, r6, r7}\n"
      "mov r1, r3\n"
      "ldr r2, [sp, #40]\n"
      "ldr r3, [sp, #44]\n"
      "sub r4, r4, r3, lsl #15\n"
      "sub r6, r6, r3, lsl #15\n"
      "add r4, r4, r5, lsl #16\n"
      "add r6, r6, r7, lsl #16\n"
      "add r3, r3, r2\n"
      "str r3, [sp, #44]\n"
      "1:\n"
      "ldrb r3, [r2], #1\n"
      "str r2, [sp, #40]\n"
      "mov r12, #32768\n"
      "mov lr, r12\n"
      "lsrs r3, r3, #1\n"
      "adc r3, r3, #0\n" /* no flags */
      "bcs 3f\n"
      "2:\n"
      INTRT_LINEAR_TAPS
      "3:\n"
      INTRT_LINEAR_TAPS
      "subs r3, r3, #1\n"
      "bne 2b\n"
      "add r4, r4, r12\n"
      "add r5, r5, r12, asr #16\n"
      "add r6, r6, lr\n"
      "add r7, r7, lr, asr #16\n"
      "ldr r2, [sp, #40]\n"
      "ldr r3, [sp, #44]\n"
      "cmp r2, r3\n"
      "bne 1b\n"
      "sub r4, r4, r5, lsl #16\n"
      "sub r6, r6, r7, lsl #16\n"
      "pop {r0}\n"
      "stmia r0, {r4, r5, r6, r7}\n"
      "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n");
}
#undef INTRT_LINEAR_TAPS
#elif defined(INTRT_LINEAR_THUMB1)
/* r0 code, r1 words, r2 codes at the end of the chunk, r3 where in them, r4 .. r7 words, r8 and r9
 * sums of the chunk, r10 and r12 both sums, r11 and lr the second ones; on the stack lengths and
 * their end. */
#define INTRT_LINEAR_WORD(word, sum) \
  "muls " word ", r0, " word "\n" \
  "add " sum ", " sum ", " word "\n"
INTRT_LINEAR_ASSEMBLY {
  __asm__(
      ".syntax unified\n"
      "push {r4, r5, r6, r7, lr}\n"
      "mov r4, r8\n"
      "mov r5, r9\n"
      "mov r6, r10\n"
      "mov r7, r11\n"
      "push {r0, r4, r5, r6, r7}\n" /* lengths: 40, chunks: 44 */
      "ldmia r1!, {r4, r5, r6, r7}\n"
      "ldr r0, [sp, #44]\n"
      "lsls r1, r0, #15\n"
      "subs r4, r4, r1\n"
      "subs r6, r6, r1\n"
      "lsls r1, r5, #16\n"
      "adds r4, r4, r1\n"
      "lsls r1, r7, #16\n"
      "adds r6, r6, r1\n"
      "mov r10, r4\n"
      "mov r11, r5\n"
      "mov r12, r6\n"
      "mov lr, r7\n"
      "ldr r4, [sp, #40]\n"
      "adds r0, r0, r4\n"
      "str r0, [sp, #44]\n"
      "mov r1, r3\n"
      "1:\n" /* r4 lengths */
      "ldrb r3, [r4]\n"
      "adds r4, r4, #1\n"
      "str r4, [sp, #40]\n"
      "lsls r3, r3, #1\n"
      "adds r2, r2, r3\n"
      "rsbs r3, r3, #0\n"
      "movs r4, #128\n"
      "lsls r4, r4, #8\n"
      "mov r8, r4\n"
      "mov r9, r4\n"
      "2:\n"
      "ldrsb r0, [r2, r3]\n"
      "ldmia r1!, {r4, r5, r6, r7}\n"
      INTRT_LINEAR_WORD("r4", "r8")
      INTRT_LINEAR_WORD("r5", "r9")
      "adds r3, r3, #1\n"
      "ldrsb r0, [r2, r3]\n"
      INTRT_LINEAR_WORD("r6", "r8")
      INTRT_LINEAR_WORD("r7", "r9")
      "adds r3, r3, #1\n"
      "bne 2b\n"
      "mov r5, r8\n"
      "add r10, r10, r5\n"
      "asrs r5, r5, #16\n"
      "add r11, r11, r5\n"
      "mov r5, r9\n"
      "add r12, r12, r5\n"
      "asrs r5, r5, #16\n"
      "add lr, lr, r5\n"
      "ldr r4, [sp, #40]\n"
      "ldr r5, [sp, #44]\n"
      "cmp r4, r5\n"
      "bne 1b\n"
      "mov r4, r10\n"
      "mov r5, r11\n"
      "mov r6, r12\n"
      "mov r7, lr\n"
      "lsls r1, r5, #16\n"
      "subs r4, r4, r1\n"
      "lsls r1, r7, #16\n"
      "subs r6, r6, r1\n"
      "pop {r0}\n"
      "stmia r0!, {r4, r5, r6, r7}\n"
      "pop {r4, r5, r6, r7}\n"
      "mov r8, r4\n"
      "mov r9, r5\n"
      "mov r10, r6\n"
      "mov r11, r7\n"
      "pop {r4, r5, r6, r7, pc}\n");
}
#undef INTRT_LINEAR_WORD
#elif defined(INTRT_LINEAR_RV32)
/* a1 the end of the chunk's codes, a2 codes, a3 words, a4 lengths, a5 their end, a6 and a7 sums of
 * the chunk, t0 code, t1 and t2 words, t3 and t5 both sums, t4 and t6 the second ones. */
#define INTRT_LINEAR_TAP(at, word0, word1) \
  "lb t0, " at "(a2)\n" \
  "lw t1, " word0 "(a3)\n" \
  "lw t2, " word1 "(a3)\n" \
  "mul t1, t1, t0\n" \
  "mul t2, t2, t0\n" \
  "add a6, a6, t1\n" \
  "add a7, a7, t2\n"
#define INTRT_LINEAR_ADD(sum, both, second) \
  "add " both ", " both ", " sum "\n" \
  "srai " sum ", " sum ", 16\n" \
  "add " second ", " second ", " sum "\n"
INTRT_LINEAR_ASSEMBLY {
  __asm__(
      "lw t3, 0(a1)\n"
      "lw t4, 4(a1)\n"
      "lw t5, 8(a1)\n"
      "lw t6, 12(a1)\n"
      "slli t0, a5, 15\n"
      "sub t3, t3, t0\n"
      "sub t5, t5, t0\n"
      "slli t0, t4, 16\n"
      "add t3, t3, t0\n"
      "slli t0, t6, 16\n"
      "add t5, t5, t0\n"
      "add a5, a5, a4\n"
      "1:\n"
      "lbu a1, 0(a4)\n"
      "addi a4, a4, 1\n"
      "slli a1, a1, 1\n"
      "andi t0, a1, 2\n"
      "add a1, a1, a2\n"
      "lui a6, 8\n"
      "lui a7, 8\n"
      "beqz t0, 2f\n"
      INTRT_LINEAR_TAP("0", "0", "4")
      INTRT_LINEAR_TAP("1", "8", "12")
      "addi a2, a2, 2\n"
      "addi a3, a3, 16\n"
      "beq a2, a1, 3f\n"
      "2:\n"
      INTRT_LINEAR_TAP("0", "0", "4")
      INTRT_LINEAR_TAP("1", "8", "12")
      INTRT_LINEAR_TAP("2", "16", "20")
      INTRT_LINEAR_TAP("3", "24", "28")
      "addi a2, a2, 4\n"
      "addi a3, a3, 32\n"
      "bne a2, a1, 2b\n"
      "3:\n"
      INTRT_LINEAR_ADD("a6", "t3", "t4")
      INTRT_LINEAR_ADD("a7", "t5", "t6")
      "bne a4, a5, 1b\n"
      "slli t0, t4, 16\n"
      "sub t3, t3, t0\n"
      "slli t0, t6, 16\n"
      "sub t5, t5, t0\n"
      "sw t3, 0(a0)\n"
      "sw t4, 4(a0)\n"
      "sw t5, 8(a0)\n"
      "sw t6, 12(a0)\n"
      "ret\n");
}
#undef INTRT_LINEAR_TAP
#undef INTRT_LINEAR_ADD
/* clang-format on */
#else
static INTRT_NOINLINE void intrt_linear_packed(int32_t* sums, const int32_t* start,
                                               const int8_t* codes, const int32_t* words,
                                               const uint8_t* lengths, int32_t chunks) {
  int32_t taps = 0, c, t;
  for (; chunks > 0; --chunks) taps += 2 * *lengths++;
  for (c = 0; c < 4; ++c) {
    int32_t sum = start[c];
    for (t = 0; t < taps; ++t) {
      const int32_t both = words[2 * t + (c >> 1)], low = (int16_t)(both & 0xffff);
      sum += codes[t] * ((c & 1) == 0 ? low : (both - low) >> 16);
    }
    sums[c] = sum;
  }
}
#endif

#endif /* INTRT_MICRO_LINEAR_H_ */
