/* What kind of instruction an encoding is, for the counter beside this file. */
#ifndef INSN_CLASS_H_
#define INSN_CLASS_H_

#include <stddef.h>
#include <stdint.h>

enum insn_set { INSN_THUMB, INSN_RISCV, INSN_A64 };

/* Bits of an instruction's class. */
enum {
  INSN_MULTIPLY = 1, /* of integers in the scalar unit, with or without an addition */
  INSN_BRANCH = 2, /* whatever may go on elsewhere than behind it: calls, returns, loop ends, too */
  INSN_VECTOR = 4  /* of the vector and floating-point unit: MVE, NEON; its loads and stores, too */
};

/* `code`: the instruction's `bytes` bytes as they lie in memory, little endian. */
static inline int thumb_class(uint32_t code, size_t bytes) {
  const uint32_t first = code & 0xffffu, second = code >> 16;
  if (bytes == 2) {
    if ((first & 0xffc0u) == 0x4340u) return INSN_MULTIPLY;                               /* MULS */
    if ((first & 0xf000u) == 0xd000u && (first & 0x0e00u) != 0x0e00u) return INSN_BRANCH; /* B<c> */
    if ((first & 0xf800u) == 0xe000u) return INSN_BRANCH;                                 /* B */
    if ((first & 0xff00u) == 0x4700u) return INSN_BRANCH;             /* BX, BLX */
    if ((first & 0xff87u) == 0x4687u || (first & 0xff87u) == 0x4487u) /* MOV, ADD to PC */
      return INSN_BRANCH;
    if ((first & 0xf500u) == 0xb100u) return INSN_BRANCH; /* CBZ, CBNZ */
    if ((first & 0xff00u) == 0xbd00u) return INSN_BRANCH; /* POP with PC */
    return 0;
  }
  if ((first & 0xec00u) == 0xec00u) return INSN_VECTOR; /* coprocessors: FPU and MVE */
  if ((first & 0xff00u) == 0xfb00u) {
    const int divides = (first & 0xffd0u) == 0xfb90u && (second & 0x00f0u) == 0x00f0u;
    const int differences = (first & 0xfff0u) == 0xfb70u; /* USAD8, USADA8 */
    return divides || differences ? 0 : INSN_MULTIPLY;
  }
  if ((first & 0xf800u) == 0xf000u && (second & 0x8000u) != 0) {
    if ((second & 0xf001u) == 0xc001u) return INSN_BRANCH; /* WLS, LE and their tail-predicated */
    if ((second & 0x5000u) == 0x5000u || (second & 0x5000u) == 0x1000u)
      return INSN_BRANCH;                                                            /* BL, B */
    if ((second & 0x5000u) == 0 && (first & 0x0380u) != 0x0380u) return INSN_BRANCH; /* B<c> */
    return 0;
  }
  if ((first & 0xfff0u) == 0xe8d0u && (second & 0xffe0u) == 0xf000u) return INSN_BRANCH; /* TBB */
  if ((first & 0xff70u) == 0xf850u && second >> 12 == 15u) return INSN_BRANCH; /* LDR PC */
  if (((first & 0xffd0u) == 0xe890u || (first & 0xffd0u) == 0xe910u) && (second & 0x8000u) != 0)
    return INSN_BRANCH; /* LDM with PC */
  return 0;
}

static inline int riscv_class(uint32_t code, size_t bytes) {
  if (bytes == 4) {
    const uint32_t opcode = code & 0x7fu;
    if (opcode == 0x63u || opcode == 0x67u || opcode == 0x6fu)
      return INSN_BRANCH; /* B.., JALR, JAL */
    /* MUL, MULH, MULHSU, MULHU; the other four of the extension divide. */
    if (opcode == 0x33u && code >> 25 == 1u && (code >> 12 & 7u) < 4u) return INSN_MULTIPLY;
    return 0;
  }
  {
    const uint32_t quadrant = code & 3u, function = code >> 13 & 7u;
    if (quadrant == 1u && (function == 1u || function >= 5u))
      return INSN_BRANCH; /* C.JAL, C.J, C.BEQZ, C.BNEZ */
    if (quadrant == 2u && function == 4u && (code & 0x007cu) == 0 && (code & 0x0f80u) != 0)
      return INSN_BRANCH; /* C.JR, C.JALR */
    return 0;
  }
}

static inline int a64_class(uint32_t code) {
  if ((code & 0x0c000000u) == 0x0c000000u) return INSN_VECTOR;
  if ((code & 0x1f000000u) == 0x1b000000u) return INSN_MULTIPLY; /* MADD, SMULL, UMULH, ... */
  if ((code & 0x7c000000u) == 0x14000000u || (code & 0xff000010u) == 0x54000000u || /* B, BL, B.c */
      (code & 0x7c000000u) == 0x34000000u || /* CBZ, CBNZ, TBZ, TBNZ */
      (code & 0xfe000000u) == 0xd6000000u)   /* BR, BLR, RET */
    return INSN_BRANCH;
  return 0;
}

static inline int insn_class(enum insn_set set, uint32_t code, size_t bytes) {
  switch (set) {
    case INSN_THUMB:
      return thumb_class(code, bytes);
    case INSN_RISCV:
      return riscv_class(code, bytes);
    default:
      return a64_class(code);
  }
}

#endif
