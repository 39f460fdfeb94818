#include "verify/semantics/rounding.h"

#include <algorithm>
#include <cmath>

#include "compile/support/error.h"

namespace lockstep::verify {

namespace {

// round(x) of a double that is no NaN.
double rounded(double x, Rounding rounding) {
  double result = std::floor(x);
  const double fraction = x - result;
  switch (rounding) {
    case Rounding::kTowardZero:
      if (x < 0 && fraction > 0) result += 1;
      break;
    case Rounding::kFloor:
      break;
    case Rounding::kHalfEven:
      if (fraction > 0.5 || (fraction == 0.5 && std::fmod(result, 2.0) != 0)) result += 1;
      break;
  }
  return result;
}

}  // namespace

std::int64_t quantize_real(float value, int decimal, int bits, Rounding rounding) {
  // A float32 has 24 significant bits and |decimal| <= 64, so the product is exact in a double.
  const double scaled = std::ldexp(static_cast<double>(value), decimal);
  const double lo = static_cast<double>(lowest_code(bits));
  const double hi = static_cast<double>(highest_code(bits));
  return static_cast<std::int64_t>(std::clamp(rounded(scaled, rounding), lo, hi));
}

std::int64_t quantize_float(float value, int decimal, Rounding rounding, std::int64_t lo,
                            std::int64_t hi) {
  const float scaled = value * std::ldexp(1.0F, decimal);
  LOCKSTEP_ASSERT(std::fabs(scaled) < 0x1p31F);
  const auto code = static_cast<std::int64_t>(rounded(static_cast<double>(scaled), rounding));
  return std::clamp(code, lo, hi);
}

namespace {

// round(code / 2^drop) for 1 <= drop.
std::int64_t divide_by_power_of_two(std::int64_t code, int drop, Rounding rounding) {
  const bool negative = code < 0;
  const std::uint64_t magnitude =
      negative ? ~static_cast<std::uint64_t>(code) + 1 : static_cast<std::uint64_t>(code);
  // From 2^64 on, |quotient| <= 1/2: zero, except that floor takes a negative one down to -1.
  std::uint64_t quotient = 0;
  bool inexact = magnitude != 0;
  bool up_to_even = false;
  if (drop < 64) {
    quotient = magnitude >> drop;
    const std::uint64_t rest = magnitude - (quotient << drop);
    const std::uint64_t half = std::uint64_t{1} << (drop - 1);
    inexact = rest != 0;
    up_to_even = rest > half || (rest == half && quotient % 2 == 1);
  }
  if (rounding == Rounding::kHalfEven && up_to_even) quotient += 1;
  if (rounding == Rounding::kFloor && negative && inexact) quotient += 1;
  const auto result = static_cast<std::int64_t>(quotient);  // at most 2^62 + 1
  return negative ? -result : result;
}

}  // namespace

std::int64_t requantize_code(std::int64_t code, int drop, Rounding rounding, std::int64_t lo,
                             std::int64_t hi) {
  if (drop > 0) code = divide_by_power_of_two(code, drop, rounding);
  if (drop < 0 && code != 0) {
    if (drop < -62) return code < 0 ? lo : hi;  // beyond every 32-bit limit
    const Int128 wide = static_cast<Int128>(code) * (Int128{1} << -drop);
    return wide < lo ? lo : (wide > hi ? hi : static_cast<std::int64_t>(wide));
  }
  return std::clamp(code, lo, hi);
}

}  // namespace lockstep::verify
