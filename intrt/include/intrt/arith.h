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
#define INTRT_ALWAYS_INLINE INTRT_INLINE __attribute__((always_inline))
#define INTRT_NOINLINE __attribute__((unused, noinline))
#define INTRT_ALIGNED __attribute__((aligned(8)))
#else
#define INTRT_INLINE static inline
#define INTRT_ALWAYS_INLINE INTRT_INLINE
#define INTRT_NOINLINE
#define INTRT_ALIGNED
#endif

#if defined(__GNUC__)
#define INTRT_HIDE(pointer) __asm__("" : "+r"(pointer))
#else
#define INTRT_HIDE(pointer) (void)0
#endif
/* The same pointer, of which compilers do not see where it points to: they then load numbers
 * instead of making each by several instructions. */
INTRT_INLINE const int32_t* intrt_hidden32(const int32_t* numbers) {
  INTRT_HIDE(numbers);
  return numbers;
}
INTRT_INLINE const int16_t* intrt_hidden16(const int16_t* numbers) {
  INTRT_HIDE(numbers);
  return numbers;
}

/* How a shift to the right rounds. Stored in plans and, as a field, in graph.json. */
#define INTRT_ROUND_TOWARD_ZERO 0
#define INTRT_ROUND_FLOOR 1
#define INTRT_ROUND_HALF_EVEN 2

/* Shifts of a requantization: right by 0..30, left by 1..31 (written -1..-31). */
#define INTRT_SHIFT_MIN (-31)
#define INTRT_SHIFT_MAX 30

/* lo <= hi. Arm cores clamp to 8 bits, or to 7 from below 0, in one instruction, with a shift
 * before. */
INTRT_INLINE int32_t intrt_clamp(int32_t x, int32_t lo, int32_t hi) {
#if defined(__GNUC__) && defined(__ARM_FEATURE_SAT) && defined(__OPTIMIZE__)
  if (__builtin_constant_p(lo == -128 && hi == 127) && lo == -128 && hi == 127)
    return (int32_t)__builtin_arm_ssat(x, 8);
  if (__builtin_constant_p(lo == 0 && hi == 127) && lo == 0 && hi == 127)
    return (int32_t)__builtin_arm_usat(x, 7);
#endif
#if defined(__GNUC__) && ((defined(__thumb__) && !defined(__thumb2__)) || defined(__riscv))
    /* One comparison for what needs no clamp. Compilers that see the result convert it in both
     * cases, for nothing where it is stored; Thumb has few registers for what x was made of. */
#if defined(__thumb__)
  INTRT_HIDE(x);
#endif
  if ((uint32_t)x - (uint32_t)lo > (uint32_t)hi - (uint32_t)lo) x = x < lo ? lo : hi;
  INTRT_HIDE(x);
  return x;
#else
  return x < lo ? lo : (x > hi ? hi : x);
#endif
}

/* x / 2^shift rounded toward zero. 0 <= shift <= 30; any x.
 * A plain >> rounds toward minus infinity, so a negative x first gets 2^shift - 1 added; that sum
 * cannot overflow, because x is negative. (The shifts to the right leave those bits of x >> 31;
 * together with the addition they are one instruction on Arm.) */
INTRT_INLINE int32_t intrt_shift_right_toward_zero(int32_t x, int shift) {
  return (x + (int32_t)((uint32_t)(x >> 31) >> 1 >> (31 - shift))) >> shift;
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

/* Largest shift of intrt_requantize_wide and of intrt_scale. */
#define INTRT_WIDE_SHIFT_MAX 62

/* intrt_requantize for an accumulator of 64 bits: clamp(round(x / 2^shift), lo, hi).
 * 0 <= shift <= 62, |x| <= 2^62. */
INTRT_INLINE int32_t intrt_requantize_wide(int64_t x, int shift, int rounding, int32_t lo,
                                           int32_t hi) {
  uint64_t dropped = (uint64_t)x & (((uint64_t)1 << shift) - 1u);
  int64_t wide = x >> shift;
  if (rounding == INTRT_ROUND_TOWARD_ZERO) {
    wide += x < 0 && dropped != 0;
  } else if (rounding == INTRT_ROUND_HALF_EVEN) {
    uint64_t half = ((uint64_t)1 << shift) >> 1;
    wide += shift > 0 && (dropped > half || (dropped == half && (wide & 1) != 0));
  }
  return wide < lo ? lo : (wide > hi ? hi : (int32_t)wide);
}

/* x * multiplier with products of 32 bits alone: the high word from those of halves. */
INTRT_INLINE int64_t intrt_product_by_halves(int32_t x, int32_t multiplier) {
  int32_t x_low = x & 0xffff, x_high = x >> 16;
  int32_t low = multiplier & 0xffff, high = multiplier >> 16;
  int32_t mixed = x_high * low + (int32_t)((uint32_t)x_low * (uint32_t)low >> 16);
  int32_t other = x_low * high + (mixed & 0xffff);
  int32_t top = x_high * high + (mixed >> 16) + (other >> 16);
  return (int64_t)((uint64_t)(uint32_t)top << 32 | (uint32_t)x * (uint32_t)multiplier);
}

/* x * multiplier. */
INTRT_INLINE int64_t intrt_product(int32_t x, int32_t multiplier) {
#if defined(__thumb__) && !defined(__thumb2__) /* no instruction has a product of 64 bits */
  return intrt_product_by_halves(x, multiplier);
#else
  return (int64_t)x * multiplier;
#endif
}

/* clamp(round((x * multiplier + addend) / 2^shift), lo, hi). 0 <= shift <= 62, |addend| < 2^62, any
 * x and multiplier: the product is at most 2^62 in magnitude, so the sum fits 64 bits. Rounding is
 * INTRT_ROUND_TOWARD_ZERO or INTRT_ROUND_FLOOR. */
INTRT_INLINE int32_t intrt_scale(int32_t x, int32_t multiplier, int64_t addend, int shift,
                                 int rounding, int32_t lo, int32_t hi) {
  int64_t wide = intrt_product(x, multiplier) + addend;
  if (rounding == INTRT_ROUND_TOWARD_ZERO) wide += (wide >> 63) & (((int64_t)1 << shift) - 1);
  wide >>= shift;
  return wide < lo ? lo : (wide > hi ? hi : (int32_t)wide);
}

/* intrt_scale with a shift of 32, which leaves the high word. |addend| < 2^62, any x and
 * multiplier. */
INTRT_INLINE int32_t intrt_scale_high(int32_t x, int32_t multiplier, int64_t addend, int rounding,
                                      int32_t lo, int32_t hi) {
  int64_t wide = intrt_product(x, multiplier) + addend;
  int32_t high = (int32_t)(wide >> 32);
  if (rounding == INTRT_ROUND_TOWARD_ZERO && (uint32_t)wide != 0u) high -= high >> 31;
  return intrt_clamp(high, lo, hi);
}

/* clamp(floor(x * multiplier / 2^32) + addend, lo, hi). |addend| <= 2^30, any x and multiplier: the
 * quotient is at most 2^30 in magnitude. */
INTRT_INLINE int32_t intrt_scale_top(int32_t x, int32_t multiplier, int32_t addend, int32_t lo,
                                     int32_t hi) {
  int32_t top;
#if defined(__GNUC__) && defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SAT)
  __asm__("smmla %0, %1, %2, %3" : "=r"(top) : "r"(x), "r"(multiplier), "r"(addend));
#else
  top = (int32_t)(intrt_product(x, multiplier) >> 32) + addend;
#endif
  return intrt_clamp(top, lo, hi);
}

/* The code of the step that x lies on: codes[n], n = how many of the rising thresholds are <= x. */
INTRT_INLINE int32_t intrt_step(int32_t x, const int32_t* thresholds, uint32_t count,
                                const int16_t* codes) {
  uint32_t first = 0;
  while (count > 0) {
    uint32_t half = count / 2;
    if (thresholds[first + half] <= x) {
      first += half + 1;
      count -= half + 1;
    } else {
      count = half;
    }
  }
  return codes[first];
}

#endif /* INTRT_ARITH_H_ */
