// Rounding of exact numbers, restated from docs/arithmetic.md so that the verifier does not inherit
// a mistake of intrt/arith.h: reals here are doubles that hold a float32 times a power of two
// exactly, and codes are 64-bit integers worked on by magnitude and sign.
#pragma once

#include <cstdint>

#include "compile/graph/graph.h"

namespace lockstep::verify {

__extension__ typedef __int128 Int128;

// Limits of a code of `bits` bits, 2 <= bits <= 32.
constexpr std::int64_t lowest_code(int bits) { return -(std::int64_t{1} << (bits - 1)); }
constexpr std::int64_t highest_code(int bits) { return (std::int64_t{1} << (bits - 1)) - 1; }

// clamp(round(value * 2^decimal)) to codes of `bits` bits. `value` is finite.
std::int64_t quantize_real(float value, int decimal, int bits, Rounding rounding);

// clamp(round(fl(value * 2^decimal))), the product being one of float32: what a quantize node makes
// of a real value. Requires a product that is a number below 2^31 in magnitude.
std::int64_t quantize_float(float value, int decimal, Rounding rounding, std::int64_t lo,
                            std::int64_t hi);

// clamp(round(code / 2^drop), lo, hi), exactly, for every code and every drop; a negative drop
// multiplies.
std::int64_t requantize_code(std::int64_t code, int drop, Rounding rounding, std::int64_t lo,
                             std::int64_t hi);

}  // namespace lockstep::verify
