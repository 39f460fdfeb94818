/* The integer arithmetic of Lockstep. Valid as C99 and C++17; two's complement and an arithmetic
 * >> of negative values are assumed, as every compiler for the supported targets has them.
 * docs/arithmetic.md gives the formulas.
 *
 * Every rounding, shift and clamp of the compiler, the runtime and generated C is one of these
 * functions. No function overflows inside the stated ranges; none depends on a build flag. */
#ifndef INTRT_ARITH_H_
#define INTRT_ARITH_H_

#include <stdint.h>

#if defined(__GNUC__)
#define INTRT_INLINE static inline __attribute__((unused))
#else
#define INTRT_INLINE static inline
#endif

/* How a shift to the right rounds. Stored in plans and, as a field, in graph.json. */
#define INTRT_ROUND_TOWARD_ZERO 0
#define INTRT_ROUND_FLOOR 1
#define INTRT_ROUND_HALF_EVEN 2

/* Shifts of a requantization: right by 0..30, left by 1..31 (written -1..-31). */
#define INTRT_SHIFT_MIN (-31)
#define INTRT_SHIFT_MAX 30

INTRT_INLINE int32_t intrt_clamp(int32_t x, int32_t lo, int32_t hi) {
  return x < lo ? lo : (x > hi ? hi : x);
}

/* x / 2^shift rounded toward zero. 0 <= shift <= 30; any x.
 * A plain >> rounds toward minus infinity, so a negative x first gets 2^shift - 1 added; that sum
 * cannot overflow, because x is negative. */
INTRT_INLINE int32_t intrt_shift_right_toward_zero(int32_t x, int shift) {
  return (x + ((x >> 31) & (((int32_t)1 << shift) - 1))) >> shift;
}

/* x / 2^shift rounded toward minus infinity. 0 <= shift <= 30; any x. */
INTRT_INLINE int32_t intrt_shift_right_floor(int32_t x, int shift) { return x >> shift; }

/* x / 2^shift rounded to the nearest integer, ties to even. 0 <= shift <= 30; any x.
 * floor, plus one when the dropped bits exceed one half, or equal it and the floor is odd. */
INTRT_INLINE int32_t intrt_shift_right_half_even(int32_t x, int shift) {
  int32_t floor_value = x >> shift;
  uint32_t dropped = (uint32_t)x & (((uint32_t)1 << shift) - 1u);
  uint32_t half = ((uint32_t)1 << shift) >> 1;
  int up = shift > 0 && (dropped > half || (dropped == half && (floor_value & 1) != 0));
  return floor_value + up;
}

INTRT_INLINE int32_t intrt_shift_right(int32_t x, int shift, int rounding) {
  return rounding == INTRT_ROUND_TOWARD_ZERO ? intrt_shift_right_toward_zero(x, shift)
         : rounding == INTRT_ROUND_FLOOR     ? intrt_shift_right_floor(x, shift)
                                             : intrt_shift_right_half_even(x, shift);
}

/* clamp(x * 2^shift, lo, hi), exactly. 1 <= shift <= 31; any x; |product| <= 2^62. */
INTRT_INLINE int32_t intrt_shift_left_clamp(int32_t x, int shift, int32_t lo, int32_t hi) {
  int64_t wide = (int64_t)x * ((int64_t)1 << shift);
  return wide < lo ? lo : (wide > hi ? hi : (int32_t)wide);
}

/* Accumulator to output code: clamp(round(x / 2^shift), lo, hi); a negative shift multiplies by
 * 2^-shift. INTRT_SHIFT_MIN <= shift <= INTRT_SHIFT_MAX, lo <= hi, any x. */
INTRT_INLINE int32_t intrt_requantize(int32_t x, int shift, int rounding, int32_t lo, int32_t hi) {
  return shift < 0 ? intrt_shift_left_clamp(x, -shift, lo, hi)
                   : intrt_clamp(intrt_shift_right(x, shift, rounding), lo, hi);
}

#endif /* INTRT_ARITH_H_ */
