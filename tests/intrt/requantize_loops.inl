// The loops of requantize_loops.h; included by one file for each instruction set. The shift is a
// constant, and nothing branches, so that a compiler makes vector code of them.
#include <utility>

#include "intrt/arith.h"
#include "tests/intrt/requantize_loops.h"
#include "tests/support/rounding_lemma.h"

namespace lockstep::test {
namespace {

// Results go through an array, since a compiler that sees a clamp on both sides of a comparison
// branches, and then cannot use vectors.
template <typename Function>
void fill(std::int32_t (&results)[kPart], std::uint32_t first, Function function) {
  for (std::uint32_t i = 0; i < kPart; ++i)
    results[i] = function(static_cast<std::int32_t>(first + i));
}

template <RoundingMode kMode, int kShift>
bool right_holds(std::uint32_t first, std::uint32_t count, Limits limits) {
  constexpr int kRounding = static_cast<int>(kMode);
  constexpr std::int32_t kUnit = std::int32_t{1} << kShift;
  std::int32_t quotients[kPart], codes[kPart];
  std::int64_t slack = 0;
  std::int32_t differs = 0;
  for (std::uint32_t done = 0; done < count; done += kPart) {
    const std::uint32_t begin = first + done;
    fill(codes, begin, [=](std::int32_t x) {
      return intrt_requantize(x, kShift, kRounding, limits.lo, limits.hi);
    });
    for (std::uint32_t i = 0; i < kPart; ++i) {
      const auto x = static_cast<std::int32_t>(begin + i);
      const std::int32_t q = intrt_shift_right(x, kShift, kRounding);
      quotients[i] = q;
      slack |= rounding_slack<kMode, std::int64_t>(x, kUnit, q, std::int64_t{q} * kUnit);
    }
    for (std::uint32_t i = 0; i < kPart; ++i) {
      const std::int32_t q = quotients[i];
      const std::int32_t clamped = q < limits.lo ? limits.lo : q > limits.hi ? limits.hi : q;
      differs |= codes[i] ^ clamped;
    }
  }
  return slack >= 0 && differs == 0;
}

template <int kShift>
bool left_holds(std::uint32_t first, std::uint32_t count, Limits limits) {
  constexpr std::int64_t kFactor = std::int64_t{1} << kShift;
  const std::int64_t lo = limits.lo, hi = limits.hi;
  std::int32_t codes[kPart];
  std::int64_t differs = 0;
  for (std::uint32_t done = 0; done < count; done += kPart) {
    const std::uint32_t begin = first + done;
    fill(codes, begin, [=](std::int32_t x) {  // rounding plays no part
      return intrt_requantize(x, -kShift, INTRT_ROUND_FLOOR, limits.lo, limits.hi);
    });
    for (std::uint32_t i = 0; i < kPart; ++i) {
      const std::int64_t exact = static_cast<std::int32_t>(begin + i) * kFactor;
      const std::int64_t clamped = exact < lo ? lo : exact > hi ? hi : exact;
      differs |= codes[i] ^ clamped;
    }
  }
  return differs == 0;
}

template <RoundingMode kMode, int... kShifts>
constexpr std::array<Loop, kRightShifts> right_loops(std::integer_sequence<int, kShifts...>) {
  return {right_holds<kMode, kShifts>...};
}

template <int... kShifts>
constexpr std::array<Loop, kLeftShifts> left_loops(std::integer_sequence<int, kShifts...>) {
  return {left_holds<kShifts + 1>...};
}

constexpr Loops loops_named(const char* name) {
  constexpr std::make_integer_sequence<int, kRightShifts> kRight{};
  return {name,
          {right_loops<RoundingMode::kTowardZero>(kRight),
           right_loops<RoundingMode::kFloor>(kRight), right_loops<RoundingMode::kHalfEven>(kRight)},
          left_loops(std::make_integer_sequence<int, kLeftShifts>{})};
}

}  // namespace
}  // namespace lockstep::test
