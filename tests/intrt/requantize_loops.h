// Loops over accumulators that hold the formulas of intrt/arith.h against what rounding and
// clamping mean; once for each instruction set.
#pragma once

#include <array>
#include <cstdint>

namespace lockstep::test {

struct Limits {
  std::int32_t lo, hi;
};

// Whether the formulas are right for the `count` accumulators from `first` on, as two's complement;
// `count` is a multiple of kPart.
using Loop = bool (*)(std::uint32_t first, std::uint32_t count, Limits limits);

constexpr std::uint32_t kPart = 512;
constexpr int kRightShifts = 31, kLeftShifts = 31;  // by 0 to 30, by 1 to 31

struct Loops {
  const char* name;
  // [rounding][shift]: intrt_shift_right, and the functions that it calls, is the rounded quotient,
  // and intrt_requantize that, clamped.
  std::array<std::array<Loop, kRightShifts>, 3> right;
  // [shift - 1]: intrt_requantize, and intrt_shift_left_clamp that it calls, is the product,
  // clamped.
  std::array<Loop, kLeftShifts> left;
};

extern const Loops kBaselineLoops;
extern const Loops kAvx2Loops, kAvx512Loops;  // on x86-64 alone

}  // namespace lockstep::test
