/* Sums of products whose weights are mostly 0, on cores without instructions for several products:
 * a list names each weight that is not 0 and where its codes are, so that the others cost nothing.
 * As in packed.h a word holds the codes of two positions, the first plus 65536 times the second,
 * and a channel's weights come in chunks whose sums fit 16 bits for each position.
 * Valid as C99 and C++17; included after intrt/arith.h. */
#ifndef INTRT_MICRO_SPARSE_H_
#define INTRT_MICRO_SPARSE_H_

#include <stdint.h>

/* Which assembly there is. */
#if defined(__GNUC__) && defined(__thumb__) && defined(__thumb2__)
#define INTRT_SPARSE_THUMB2 1
#elif defined(__GNUC__) && defined(__thumb__)
#define INTRT_SPARSE_THUMB1 1
#elif defined(__GNUC__) && defined(__riscv) && __riscv_xlen == 32 && defined(__riscv_mul) && \
    !defined(__riscv_32e)
#define INTRT_SPARSE_RV32 1
#endif

/* Word i * words of the panel, i < count, of two positions: tap i of position p is
 * codes_p[i - begin_p] where begin_p <= i < end_p, else 0. begin_p >= 0. */
static INTRT_NOINLINE void intrt_sparse_pair(int32_t* panel, int32_t words, int32_t count,
                                             const int8_t* codes0, int32_t begin0, int32_t end0,
                                             const int8_t* codes1, int32_t begin1, int32_t end1) {
  int32_t i;
  if (begin0 == 0 && begin1 == 0 && end0 >= count && end1 >= count) {
    i = 0;
    if (words == 8) /* known to the compiler, it costs no additions */
      for (; i + 8 <= count; i += 8) {
        panel[0] = codes0[i] + codes1[i] * 65536;
        panel[8] = codes0[i + 1] + codes1[i + 1] * 65536;
        panel[16] = codes0[i + 2] + codes1[i + 2] * 65536;
        panel[24] = codes0[i + 3] + codes1[i + 3] * 65536;
        panel[32] = codes0[i + 4] + codes1[i + 4] * 65536;
        panel[40] = codes0[i + 5] + codes1[i + 5] * 65536;
        panel[48] = codes0[i + 6] + codes1[i + 6] * 65536;
        panel[56] = codes0[i + 7] + codes1[i + 7] * 65536;
        panel += 64;
      }
    for (; i + 2 <= count; i += 2) {
      panel[0] = codes0[i] + codes1[i] * 65536;
      panel[words] = codes0[i + 1] + codes1[i + 1] * 65536;
      panel += 2 * words;
    }
    if (i < count) *panel = codes0[i] + codes1[i] * 65536;
    return;
  }
  for (i = 0; i < count; ++i) {
    int32_t code0 = i >= begin0 && i < end0 ? codes0[i - begin0] : 0;
    int32_t code1 = i >= begin1 && i < end1 ? codes1[i - begin1] : 0;
    *panel = code0 + code1 * 65536;
    panel += words;
  }
}

/* Pairs of columns side by side, for each of `channels` channels i one after the other: `even`
 * words of the columns 2 j and 2 j + 1, then even - 1 words of the columns 2 j + 1 and 2 j + 2.
 * Code i of column n is codes[(n - begin) * step + i] where begin <= n < end, else 0. begin >= 0.
 */
static INTRT_NOINLINE void intrt_sparse_columns(int32_t* panel, int32_t even, int32_t channels,
                                                const int8_t* codes, int32_t step, int32_t begin,
                                                int32_t end) {
  const int32_t odd = even - 1;
  int32_t i, k;
  if (begin <= 1 && end >= 2 * even - 1) {
    /* All but the first or the last one. */
    for (i = 0; i < channels; ++i) {
      int32_t* odds = panel + even;
      int32_t at = begin == 0 ? i + step : i;
      int32_t last = begin == 0 ? codes[i] : 0;
      for (k = odd; k > 0; --k) {
        const int32_t next = codes[at];
        *panel++ = last + next * 65536;
        at += step;
        last = codes[at];
        *odds++ = next + last * 65536;
        at += step;
      }
      *panel = end >= 2 * even ? last + codes[at] * 65536 : last;
      panel = odds;
    }
    return;
  }
  for (i = 0; i < channels; ++i) {
    int32_t last = 0;
    for (k = 0; k < 2 * even; ++k) {
      const int32_t next = k >= begin && k < end ? codes[(k - begin) * step + i] : 0;
      if (k > 0) panel[(k & 1) != 0 ? k >> 1 : odd + (k >> 1)] = last + next * 65536;
      last = next;
    }
    panel += even + odd;
  }
}

/* sums[8 * c + p] = start[c] + the products of channel c < channels and position p < 8. Entries of
 * a channel: its chunks one after the other, each of them weights, weight * 65536 + 4 * word (below
 * 65536), whose codes are the four words panel[word] ..; behind a chunk 0, but behind the last one
 * of a channel the number of its chunks. For each chunk and position the sum of products lies in
 * -32768 .. 32767. No sum leaves 32 bits on the way, in whatever order the products come. A channel
 * without weights is a 0. channels >= 1. */
#if defined(INTRT_SPARSE_THUMB2)
/* r0 entries, r1 weight, r2 .. r5 four words, r6 .. r9 the chunk's sums of both positions, r10
 * panel, r11 32768, r12 start, lr sums: of both positions, modulo 2^32 and with 32768 for each
 * chunk, and of the second. */
/* clang-format off */
#define INTRT_SPARSE_WORDS \
  "ldrh r5, [r0], #4\n" \
  "add r5, r5, r10\n" \
  "ldm r5, {r2, r3, r4, r5}\n"
#define INTRT_SPARSE_ENTRY \
  "ldrsh r1, [r0, #2]\n" \
  "cbz r1, 4f\n" \
  INTRT_SPARSE_WORDS \
  "mla r6, r2, r1, r6\n" \
  "mla r7, r3, r1, r7\n" \
  "mla r8, r4, r1, r8\n" \
  "mla r9, r5, r1, r9\n"
#define INTRT_SPARSE_ADD(a, b) \
  "ldm lr, {r2, r3, r4, r5}\n" \
  "add r2, r2, " a "\n" \
  "add r3, r3, " a ", asr #16\n" \
  "add r4, r4, " b "\n" \
  "add r5, r5, " b ", asr #16\n" \
  "stm lr!, {r2, r3, r4, r5}\n"
#define INTRT_SPARSE_FINISH \
  "ldm lr, {r2, r3, r4, r5}\n" \
  "sub r2, r2, r3, lsl #16\n" \
  "sub r4, r4, r5, lsl #16\n" \
  "sub r2, r2, r1\n" \
  "sub r4, r4, r1\n" \
  "stm lr!, {r2, r3, r4, r5}\n"
static __attribute__((naked, noinline, unused)) void intrt_sparse_dot_8(
    int32_t* sums __attribute__((unused)), const int32_t* start __attribute__((unused)),
    int32_t channels __attribute__((unused)), const int32_t* panel __attribute__((unused)),
    const int32_t* entries __attribute__((unused))) {
  __asm__(
      ".syntax unified\n"
      "push {r2, r4, r5, r6, r7, r8, r9, r10, r11, lr}\n" /* channels; entries: 40 */
      "mov lr, r0\n"
      "mov r12, r1\n"
      "mov r10, r3\n"
      "ldr r0, [sp, #40]\n"
      "mov r11, #32768\n"
      "1:\n"
      "ldr r3, [r12], #4\n"
      "add r2, r3, r3, lsl #16\n"
      "mov r4, r2\n"
      "mov r5, r3\n"
      "stm lr!, {r2, r3, r4, r5}\n"
      "stm lr, {r2, r3, r4, r5}\n"
      "sub lr, lr, #16\n"
      "2:\n"
      "ldrsh r1, [r0, #2]\n"
      "cmp r1, #0\n"
      "beq 5f\n"
      INTRT_SPARSE_WORDS
      "mla r6, r2, r1, r11\n"
      "mla r7, r3, r1, r11\n"
      "mla r8, r4, r1, r11\n"
      "mla r9, r5, r1, r11\n"
      "3:\n"
      INTRT_SPARSE_ENTRY
      INTRT_SPARSE_ENTRY
      INTRT_SPARSE_ENTRY
      "b 3b\n"
      "4:\n"
      INTRT_SPARSE_ADD("r6", "r7")
      INTRT_SPARSE_ADD("r8", "r9")
      "sub lr, lr, #32\n"
      "ldrh r1, [r0], #4\n"
      "cmp r1, #0\n"
      "beq 2b\n"
      "lsl r1, r1, #15\n"
      "b 6f\n"
      "5:\n"
      "add r0, r0, #4\n"
      "6:\n"
      INTRT_SPARSE_FINISH
      INTRT_SPARSE_FINISH
      "ldr r1, [sp]\n"
      "subs r1, r1, #1\n"
      "str r1, [sp]\n"
      "bne 1b\n"
      "pop {r2, r4, r5, r6, r7, r8, r9, r10, r11, pc}\n");
}
/* clang-format on */
#undef INTRT_SPARSE_WORDS
#undef INTRT_SPARSE_ENTRY
#undef INTRT_SPARSE_ADD
#undef INTRT_SPARSE_FINISH
#elif defined(INTRT_SPARSE_THUMB1)
/* r0 entries, r1 weight, r2 .. r5 four words, r6 entry, r7 .. r10 the chunk's sums of both
 * positions, r11 panel, r12 sums: of both positions, modulo 2^32 and with 32768 for each chunk, and
 * of the second; lr 32768. */
/* clang-format off */
#define INTRT_SPARSE_TAKE \
  "ldmia r0!, {r6}\n" \
  "asrs r1, r6, #16\n"
#define INTRT_SPARSE_ADD(first, second) \
  "ldmia r1!, {r2, r3, r4, r5}\n" \
  first \
  "adds r2, r2, r7\n" \
  "asrs r7, r7, #16\n" \
  "adds r3, r3, r7\n" \
  second \
  "adds r4, r4, r7\n" \
  "asrs r7, r7, #16\n" \
  "adds r5, r5, r7\n" \
  "subs r1, r1, #16\n" \
  "stmia r1!, {r2, r3, r4, r5}\n"
#define INTRT_SPARSE_FINISH \
  "ldmia r1!, {r2, r3, r4, r5}\n" \
  "lsls r7, r3, #16\n" \
  "subs r2, r2, r7\n" \
  "subs r2, r2, r6\n" \
  "lsls r7, r5, #16\n" \
  "subs r4, r4, r7\n" \
  "subs r4, r4, r6\n" \
  "subs r1, r1, #16\n" \
  "stmia r1!, {r2, r3, r4, r5}\n"
static __attribute__((naked, noinline, unused)) void intrt_sparse_dot_8(
    int32_t* sums __attribute__((unused)), const int32_t* start __attribute__((unused)),
    int32_t channels __attribute__((unused)), const int32_t* panel __attribute__((unused)),
    const int32_t* entries __attribute__((unused))) {
  __asm__(
      ".syntax unified\n"
      "push {r4, r5, r6, r7, lr}\n"
      "mov r4, r8\n"
      "mov r5, r9\n"
      "mov r6, r10\n"
      "mov r7, r11\n"
      "push {r1, r2, r4, r5, r6, r7}\n" /* start, channels; entries: 44 */
      "mov r12, r0\n"
      "mov r11, r3\n"
      "ldr r0, [sp, #44]\n"
      "movs r4, #128\n"
      "lsls r4, r4, #8\n"
      "mov lr, r4\n"
      "1:\n"
      "ldr r1, [sp]\n"
      "ldmia r1!, {r3}\n"
      "str r1, [sp]\n"
      "lsls r2, r3, #16\n"
      "adds r2, r2, r3\n"
      "movs r4, r2\n"
      "movs r5, r3\n"
      "mov r1, r12\n"
      "stmia r1!, {r2, r3, r4, r5}\n"
      "stmia r1!, {r2, r3, r4, r5}\n"
      INTRT_SPARSE_TAKE
      "beq 4f\n"
      "2:\n"
      "mov r7, lr\n"
      "mov r8, lr\n"
      "mov r9, lr\n"
      "mov r10, lr\n"
      "3:\n"
      "uxth r5, r6\n"
      "add r5, r5, r11\n"
      "ldmia r5, {r2, r3, r4, r5}\n"
      "muls r2, r1, r2\n"
      "adds r7, r7, r2\n"
      "muls r3, r1, r3\n"
      "add r8, r8, r3\n"
      "muls r4, r1, r4\n"
      "add r9, r9, r4\n"
      "muls r5, r1, r5\n"
      "add r10, r10, r5\n"
      INTRT_SPARSE_TAKE
      "bne 3b\n"
      "mov r1, r12\n"
      INTRT_SPARSE_ADD("", "mov r7, r8\n")
      INTRT_SPARSE_ADD("mov r7, r9\n", "mov r7, r10\n")
      "cmp r6, #0\n"
      "bne 4f\n"
      INTRT_SPARSE_TAKE
      "b 2b\n"
      "4:\n"
      "lsls r6, r6, #15\n"
      "mov r1, r12\n"
      INTRT_SPARSE_FINISH
      INTRT_SPARSE_FINISH
      "mov r12, r1\n"
      "ldr r1, [sp, #4]\n"
      "subs r1, r1, #1\n"
      "str r1, [sp, #4]\n"
      "bne 1b\n"
      "pop {r1, r2, r4, r5, r6, r7}\n"
      "mov r8, r4\n"
      "mov r9, r5\n"
      "mov r10, r6\n"
      "mov r11, r7\n"
      "pop {r4, r5, r6, r7, pc}\n");
}
/* clang-format on */
#undef INTRT_SPARSE_TAKE
#undef INTRT_SPARSE_ADD
#undef INTRT_SPARSE_FINISH
#endif

/* The same of `words` words and twice as many positions; returns the end of the entries. */
static INTRT_NOINLINE const int32_t* intrt_sparse_dot(int32_t* sums, const int32_t* start,
                                                      int32_t channels, const int32_t* panel,
                                                      const int32_t* entries, int32_t words) {
  int32_t c, i;
  for (c = 0; c < channels; ++c) {
    for (i = 0; i < 2 * words; ++i) sums[i] = start[c];
    for (;;) {
      uint32_t both[8];
      int32_t entry, length = 0;
      for (i = 0; i < words; ++i) both[i] = 32768u;
      for (entry = *entries++; entry < 0 || entry > 65535; entry = *entries++) {
        const int32_t* const codes = panel + ((uint32_t)entry >> 2 & 16383u);
        const uint32_t weight = (uint32_t)(entry >> 16);
        for (i = 0; i < words; ++i) both[i] += weight * (uint32_t)codes[i];
        ++length;
      }
      for (i = 0; i < words; ++i) {
        sums[2 * i] += (int32_t)(both[i] & 65535u) - 32768;
        sums[2 * i + 1] += (int32_t)both[i] >> 16;
      }
      if (entry != 0 || length == 0) break;
    }
    sums += 2 * words;
  }
  return entries;
}
#if !defined(INTRT_SPARSE_THUMB2) && !defined(INTRT_SPARSE_THUMB1)
static INTRT_NOINLINE void intrt_sparse_dot_8(int32_t* sums, const int32_t* start, int32_t channels,
                                              const int32_t* panel, const int32_t* entries) {
  (void)intrt_sparse_dot(sums, start, channels, panel, entries, 4);
}
#endif

/* intrt_sparse_dot_16: the same of 16 positions and eight words, for cores with more registers.
 * intrt_sparse_codes_16: out[p * step + c] = intrt_scale_top(sum c of position p, multiplier,
 * addend, lo, hi), where constants[3 * c] .. are the start of the sum, multiplier and addend. */
#if defined(INTRT_SPARSE_RV32)
/* a0 weight, a1 where its words are, a2 word, a3 panel, a4 entries, t2 .. t6 and a5 .. a7 the
 * chunk's sums of both positions, s0 .. s11, ra and t1 the first fourteen of the sums of both
 * positions, modulo 2^32, and of the second, t0 the last one; on the stack the one in front of it,
 * sums, start and channels, or out, constants, the end of out, step, lo and hi. Behind a chunk a1
 * is what its 0 or number says, a2 32768. */
/* clang-format off */
#define INTRT_SPARSE_FIRST(at, a) \
  "lw a2, " at "(a1)\n" \
  "mul " a ", a2, a0\n"
#define INTRT_SPARSE_NEXT(at, a) \
  "lw a2, " at "(a1)\n" \
  "mul a2, a2, a0\n" \
  "add " a ", " a ", a2\n"
#define INTRT_SPARSE_WORDS(word, at) \
  "lhu a1, " at "(a4)\n" \
  "add a1, a1, a3\n" \
  word("0", "t2") word("4", "t3") word("8", "t4") word("12", "t5") \
  word("16", "t6") word("20", "a5") word("24", "a6") word("28", "a7")
/* A chunk; a4 is moved behind it. */
#define INTRT_SPARSE_CHUNK(loop, odd, end) \
  INTRT_SPARSE_WORDS(INTRT_SPARSE_FIRST, "0") \
  "lh a0, 6(a4)\n" \
  "beqz a0, " odd "f\n" \
  loop ":\n" \
  INTRT_SPARSE_WORDS(INTRT_SPARSE_NEXT, "4") \
  "lh a0, 10(a4)\n" \
  "beqz a0, " end "f\n" \
  INTRT_SPARSE_WORDS(INTRT_SPARSE_NEXT, "8") \
  "addi a4, a4, 8\n" \
  "lh a0, 6(a4)\n" \
  "bnez a0, " loop "b\n" \
  odd ":\n" \
  "addi a4, a4, -4\n" \
  end ":\n" \
  "lhu a1, 8(a4)\n" \
  "addi a4, a4, 12\n" \
  "lui a2, 8\n"
#define INTRT_SPARSE_ADD(a, both, second) \
  "add " both ", " both ", " a "\n" \
  "add " a ", " a ", a2\n" \
  "srai " a ", " a ", 16\n" \
  "add " second ", " second ", " a "\n"
#define INTRT_SPARSE_BEGIN(a, both, second) \
  "add " both ", s0, " a "\n" \
  "add " a ", " a ", a2\n" \
  "srai " a ", " a ", 16\n" \
  "add " second ", s1, " a "\n"
#define INTRT_SPARSE_STORE(at0, at1, both, second) \
  "slli a2, " second ", 16\n" \
  "sub " both ", " both ", a2\n" \
  "sw " both ", " at0 "(a1)\n" \
  "sw " second ", " at1 "(a1)\n"
#define INTRT_SPARSE_SAVED(op) \
  op " ra, 0(sp)\n" op " s0, 4(sp)\n" op " s1, 8(sp)\n" op " s2, 12(sp)\n" op " s3, 16(sp)\n" \
  op " s4, 20(sp)\n" op " s5, 24(sp)\n" op " s6, 28(sp)\n" op " s7, 32(sp)\n" \
  op " s8, 36(sp)\n" op " s9, 40(sp)\n" op " s10, 44(sp)\n" op " s11, 48(sp)\n"
/* All sums of a channel; `constants`: the bytes of those of a channel. */
#define INTRT_SPARSE_CHANNEL(constants) \
  "8:\n" \
  "lw a0, 56(sp)\n" \
  "lw s1, 0(a0)\n" \
  "addi a0, a0, " constants "\n" \
  "sw a0, 56(sp)\n" \
  "slli s0, s1, 16\n" \
  "add s0, s0, s1\n" \
  "lh a0, 2(a4)\n" \
  "beqz a0, 6f\n" \
  INTRT_SPARSE_CHUNK("2", "3", "4") \
  INTRT_SPARSE_BEGIN("a7", "a0", "t0") \
  "sw a0, 64(sp)\n" \
  INTRT_SPARSE_BEGIN("a6", "ra", "t1") \
  INTRT_SPARSE_BEGIN("a5", "s10", "s11") \
  INTRT_SPARSE_BEGIN("t6", "s8", "s9") \
  INTRT_SPARSE_BEGIN("t5", "s6", "s7") \
  INTRT_SPARSE_BEGIN("t4", "s4", "s5") \
  INTRT_SPARSE_BEGIN("t3", "s2", "s3") \
  INTRT_SPARSE_BEGIN("t2", "s0", "s1") \
  "bnez a1, 7f\n" \
  "5:\n" \
  "lh a0, 2(a4)\n" \
  INTRT_SPARSE_CHUNK("2", "3", "4") \
  INTRT_SPARSE_ADD("t2", "s0", "s1") \
  INTRT_SPARSE_ADD("t3", "s2", "s3") \
  INTRT_SPARSE_ADD("t4", "s4", "s5") \
  INTRT_SPARSE_ADD("t5", "s6", "s7") \
  INTRT_SPARSE_ADD("t6", "s8", "s9") \
  INTRT_SPARSE_ADD("a5", "s10", "s11") \
  INTRT_SPARSE_ADD("a6", "ra", "t1") \
  "lw a0, 64(sp)\n" \
  INTRT_SPARSE_ADD("a7", "a0", "t0") \
  "sw a0, 64(sp)\n" \
  "beqz a1, 5b\n" \
  "j 7f\n" \
  "6:\n" \
  "addi a4, a4, 4\n" \
  "mv s2, s0\n" "mv s3, s1\n" "mv s4, s0\n" "mv s5, s1\n" "mv s6, s0\n" "mv s7, s1\n" \
  "mv s8, s0\n" "mv s9, s1\n" "mv s10, s0\n" "mv s11, s1\n" "mv ra, s0\n" "mv t1, s1\n" \
  "sw s0, 64(sp)\n" \
  "mv t0, s1\n" \
  "7:\n"
static __attribute__((naked, noinline, unused)) void intrt_sparse_dot_16(
    int32_t* sums __attribute__((unused)), const int32_t* start __attribute__((unused)),
    int32_t channels __attribute__((unused)), const int32_t* panel __attribute__((unused)),
    const int32_t* entries __attribute__((unused))) {
  __asm__(
      "addi sp, sp, -80\n"
      INTRT_SPARSE_SAVED("sw")
      "sw a0, 52(sp)\n"
      "sw a1, 56(sp)\n"
      "sw a2, 60(sp)\n"
      INTRT_SPARSE_CHANNEL("4")
      "lw a1, 52(sp)\n"
      INTRT_SPARSE_STORE("0", "4", "s0", "s1")
      INTRT_SPARSE_STORE("8", "12", "s2", "s3")
      INTRT_SPARSE_STORE("16", "20", "s4", "s5")
      INTRT_SPARSE_STORE("24", "28", "s6", "s7")
      INTRT_SPARSE_STORE("32", "36", "s8", "s9")
      INTRT_SPARSE_STORE("40", "44", "s10", "s11")
      INTRT_SPARSE_STORE("48", "52", "ra", "t1")
      "lw s0, 64(sp)\n"
      INTRT_SPARSE_STORE("56", "60", "s0", "t0")
      "addi a1, a1, 64\n"
      "sw a1, 52(sp)\n"
      "lw a0, 60(sp)\n"
      "addi a0, a0, -1\n"
      "sw a0, 60(sp)\n"
      "bnez a0, 8b\n"
      INTRT_SPARSE_SAVED("lw")
      "addi sp, sp, 80\n"
      "ret\n");
}
/* a1 out, a5 step, a6 lo, a7 hi, t2 multiplier, t3 addend */
#define INTRT_SPARSE_CODE(sum) \
  "mulh " sum ", " sum ", t2\n" \
  "add " sum ", " sum ", t3\n" \
  "bge " sum ", a6, 1f\n" \
  "sb a6, 0(a1)\n" \
  "add a1, a1, a5\n" \
  "j 3f\n" \
  "1:\n" \
  "bge a7, " sum ", 2f\n" \
  "mv " sum ", a7\n" \
  "2:\n" \
  "sb " sum ", 0(a1)\n" \
  "add a1, a1, a5\n" \
  "3:\n"
#define INTRT_SPARSE_CODES(both, second) \
  "slli a2, " second ", 16\n" \
  "sub " both ", " both ", a2\n" \
  INTRT_SPARSE_CODE(both) \
  INTRT_SPARSE_CODE(second)
static __attribute__((naked, noinline, unused)) void intrt_sparse_codes_16(
    int8_t* out __attribute__((unused)), const int32_t* constants __attribute__((unused)),
    int32_t channels __attribute__((unused)), const int32_t* panel __attribute__((unused)),
    const int32_t* entries __attribute__((unused)), int32_t step __attribute__((unused)),
    int32_t lo __attribute__((unused)), int32_t hi __attribute__((unused))) {
  __asm__(
      "addi sp, sp, -80\n"
      INTRT_SPARSE_SAVED("sw")
      "sw a0, 52(sp)\n"
      "sw a1, 56(sp)\n"
      "add a2, a2, a0\n"
      "sw a2, 60(sp)\n"
      "sw a5, 68(sp)\n"
      "sw a6, 72(sp)\n"
      "sw a7, 76(sp)\n"
      INTRT_SPARSE_CHANNEL("12")
      "lw a0, 56(sp)\n"
      "lw t2, -8(a0)\n"
      "lw t3, -4(a0)\n"
      "lw a1, 52(sp)\n"
      "addi a2, a1, 1\n"
      "sw a2, 52(sp)\n"
      "lw a5, 68(sp)\n"
      "lw a6, 72(sp)\n"
      "lw a7, 76(sp)\n"
      INTRT_SPARSE_CODES("s0", "s1")
      INTRT_SPARSE_CODES("s2", "s3")
      INTRT_SPARSE_CODES("s4", "s5")
      INTRT_SPARSE_CODES("s6", "s7")
      INTRT_SPARSE_CODES("s8", "s9")
      INTRT_SPARSE_CODES("s10", "s11")
      INTRT_SPARSE_CODES("ra", "t1")
      "lw s0, 64(sp)\n"
      INTRT_SPARSE_CODES("s0", "t0")
      "lw a0, 52(sp)\n"
      "lw a1, 60(sp)\n"
      "bne a0, a1, 8b\n"
      INTRT_SPARSE_SAVED("lw")
      "addi sp, sp, 80\n"
      "ret\n");
}
/* clang-format on */
#undef INTRT_SPARSE_FIRST
#undef INTRT_SPARSE_NEXT
#undef INTRT_SPARSE_WORDS
#undef INTRT_SPARSE_CHUNK
#undef INTRT_SPARSE_ADD
#undef INTRT_SPARSE_BEGIN
#undef INTRT_SPARSE_STORE
#undef INTRT_SPARSE_SAVED
#undef INTRT_SPARSE_CHANNEL
#undef INTRT_SPARSE_CODE
#undef INTRT_SPARSE_CODES
#else
static INTRT_NOINLINE void intrt_sparse_dot_16(int32_t* sums, const int32_t* start,
                                               int32_t channels, const int32_t* panel,
                                               const int32_t* entries) {
  (void)intrt_sparse_dot(sums, start, channels, panel, entries, 8);
}
static INTRT_NOINLINE void intrt_sparse_codes_16(int8_t* out, const int32_t* constants,
                                                 int32_t channels, const int32_t* panel,
                                                 const int32_t* entries, int32_t step, int32_t lo,
                                                 int32_t hi) {
  int32_t c, p, sums[16];
  for (c = 0; c < channels; ++c) {
    entries = intrt_sparse_dot(sums, constants, 1, panel, entries, 8);
    for (p = 0; p < 16; ++p)
      out[p * step + c] = (int8_t)intrt_scale_top(sums[p], constants[1], constants[2], lo, hi);
    constants += 3;
  }
}
#endif

#endif /* INTRT_MICRO_SPARSE_H_ */
