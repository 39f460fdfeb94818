#include "compile/ops/rounding.h"

#include <algorithm>
#include <cmath>

#include "compile/ir/ir.h"
#include "compile/support/error.h"

namespace lockstep::ops {
namespace {

// Ties to even, whatever the floating-point environment says.
float round_half_even(float x) {
  const float below = std::floor(x), rest = x - below;
  if (rest != 0.5F) return rest < 0.5F ? below : below + 1.0F;
  return std::fmod(below, 2.0F) == 0.0F ? below : below + 1.0F;
}

}  // namespace

std::optional<std::int64_t> quantize_code(float x, int decimal, int bits, Rounding rounding) {
  const float product = x * std::ldexp(1.0F, decimal);
  if (!(std::fabs(product) < 0x1p31F)) return std::nullopt;
  const float rounded = rounding == Rounding::kTowardZero ? std::trunc(product)
                        : rounding == Rounding::kFloor    ? std::floor(product)
                                                          : round_half_even(product);
  const ir::Range limits = ir::code_limits(bits);
  return std::clamp(static_cast<std::int64_t>(rounded), limits.lo, limits.hi);
}

std::int64_t shift_exactly(std::int64_t x, int shift, Rounding rounding) {
  LOCKSTEP_ASSERT(std::abs(x) <= std::int64_t{1} << 31 && std::abs(shift) <= 192);
  constexpr std::int64_t kHuge = std::int64_t{1} << 62;
  if (shift <= 0) {
    if (x == 0) return 0;
    if (shift < -30) return x < 0 ? -kHuge : kHuge;
    return x * (std::int64_t{1} << -shift);
  }
  const int drop = std::min(shift, 40);  // beyond 2^32 only the sign of x matters
  const std::int64_t floor = x >> drop;
  const std::int64_t rest = x - floor * (std::int64_t{1} << drop);
  if (rounding == Rounding::kFloor || rest == 0) return floor;
  if (rounding == Rounding::kTowardZero) return x < 0 ? floor + 1 : floor;
  const std::int64_t half = std::int64_t{1} << (drop - 1);
  return floor + (rest > half || (rest == half && floor % 2 != 0) ? 1 : 0);
}

}  // namespace lockstep::ops
