// What rounding means, as docs/arithmetic.md has it: not how the integer is computed, but which
// inequalities it satisfies, and it alone. Written as differences that must be at least 0, so that
// a loop over all 2^32 numbers needs no branches.
#pragma once

namespace lockstep::test {

enum class RoundingMode { kTowardZero = 0, kFloor = 1, kHalfEven = 2 };  // as stored in plans

// At least 0 exactly if q is x / unit, rounded; unit >= 1 and product = q * unit. With the rest
// r = x - product:
//   floor        0 <= r <= unit - 1
//   toward zero  0 <= r <= unit - 1 where x >= 0, 0 <= -r <= unit - 1 where x < 0
//   half even    2 |r| <= unit where q is even, 2 |r| <= unit - 1 where q is odd
// `Wide` must hold 2 r + unit. The | of two numbers is negative exactly if one of them is.
template <RoundingMode kMode, typename Wide>
[[gnu::always_inline]] constexpr Wide rounding_slack(Wide x, Wide unit, Wide q, Wide product) {
  const Wide rest = x - product;
  if constexpr (kMode == RoundingMode::kHalfEven) {
    const Wide most = unit - (q & 1);
    return (most - 2 * rest) | (most + 2 * rest);
  }
  const Wide outward = kMode == RoundingMode::kTowardZero && x < 0 ? -rest : rest;
  return outward | (unit - 1 - outward);
}

template <typename Wide>
bool is_rounded(RoundingMode mode, Wide x, Wide unit, Wide q) {
  using enum RoundingMode;
  const Wide product = q * unit;
  return (mode == kTowardZero ? rounding_slack<kTowardZero>(x, unit, q, product)
          : mode == kFloor    ? rounding_slack<kFloor>(x, unit, q, product)
                              : rounding_slack<kHalfEven>(x, unit, q, product)) >= 0;
}

}  // namespace lockstep::test
