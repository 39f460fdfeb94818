// The verifier's own rounding against the definitions, on every code of a small range and at the
// far ends.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "verify/proof/post_op.h"
#include "verify/semantics/rounding.h"

using namespace lockstep;
using namespace lockstep::verify;

namespace {

// round(code / 2^drop), from the definition of each mode on exact integers.
std::int64_t by_definition(std::int64_t code, int drop, Rounding rounding) {
  const std::int64_t divisor = std::int64_t{1} << drop;
  std::int64_t floor = code / divisor;
  if (floor * divisor > code) floor -= 1;
  const std::int64_t rest = code - floor * divisor;  // 0 <= rest < divisor
  switch (rounding) {
    case Rounding::kTowardZero:
      return code < 0 && rest != 0 ? floor + 1 : floor;
    case Rounding::kFloor:
      return floor;
    case Rounding::kHalfEven:
      break;
  }
  if (2 * rest != divisor) return 2 * rest > divisor ? floor + 1 : floor;
  return floor % 2 == 0 ? floor : floor + 1;
}

constexpr Rounding kModes[] = {Rounding::kTowardZero, Rounding::kFloor, Rounding::kHalfEven};
constexpr std::int64_t kLowest = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kHighest = std::numeric_limits<std::int64_t>::max();

}  // namespace

TEST_CASE("requantize_code equals the definition for every 12-bit code, shift and mode") {
  for (const Rounding mode : kModes)
    for (int drop = 0; drop <= 14; ++drop)
      for (std::int64_t code = -2048; code <= 2047; ++code)
        REQUIRE(requantize_code(code, drop, mode, kLowest, kHighest) ==
                by_definition(code, drop, mode));
}

TEST_CASE("requantize_code is right at the ends of 64 bits") {
  for (const Rounding mode : kModes)
    for (int drop = 1; drop <= 62; ++drop)
      for (const std::int64_t code :
           {kLowest, kLowest + 1, kHighest, kHighest - 1, std::int64_t{1} << 62}) {
        // Twice as wide a definition: drop all but one bit exactly, then the last by the small
        // definition.
        const Int128 wide = code;
        const Int128 divisor = Int128{1} << drop;
        Int128 floor = wide / divisor;
        if (floor * divisor > wide) floor -= 1;
        const Int128 rest = wide - floor * divisor;
        Int128 expected = floor;
        if (mode == Rounding::kTowardZero && code < 0 && rest != 0) expected += 1;
        if (mode == Rounding::kHalfEven &&
            (2 * rest > divisor || (2 * rest == divisor && floor % 2 != 0)))
          expected += 1;
        REQUIRE(requantize_code(code, drop, mode, kLowest, kHighest) ==
                static_cast<std::int64_t>(expected));
      }
}

TEST_CASE("shifts beyond 64 bits leave the sign that the mode asks for") {
  for (const int drop : {64, 65, 100, 200}) {
    CHECK(requantize_code(kLowest, drop, Rounding::kTowardZero, -9, 9) == 0);
    CHECK(requantize_code(kLowest, drop, Rounding::kHalfEven, -9, 9) == 0);
    CHECK(requantize_code(-1, drop, Rounding::kFloor, -9, 9) == -1);
    CHECK(requantize_code(kHighest, drop, Rounding::kFloor, -9, 9) == 0);
  }
}

TEST_CASE("negative shifts multiply and saturate without overflow") {
  for (const Rounding mode : kModes) {
    CHECK(requantize_code(3, -4, mode, -128, 127) == 48);
    CHECK(requantize_code(-3, -4, mode, -128, 127) == -48);
    CHECK(requantize_code(3, -6, mode, -128, 127) == 127);
    CHECK(requantize_code(-3, -100, mode, -128, 127) == -128);
    CHECK(requantize_code(kHighest, -62, mode, -128, 127) == 127);
    CHECK(requantize_code(0, -200, mode, -128, 127) == 0);
  }
}

TEST_CASE("quantize_real rounds and clamps a float32 exactly") {
  CHECK(quantize_real(-2.5F, 0, 8, Rounding::kTowardZero) == -2);
  CHECK(quantize_real(-2.5F, 0, 8, Rounding::kFloor) == -3);
  CHECK(quantize_real(-2.5F, 0, 8, Rounding::kHalfEven) == -2);
  CHECK(quantize_real(3.5F, 0, 8, Rounding::kHalfEven) == 4);
  CHECK(quantize_real(2.5F, 0, 8, Rounding::kHalfEven) == 2);
  CHECK(quantize_real(0.999F, 7, 8, Rounding::kTowardZero) == 127);
  CHECK(quantize_real(1.0F, 7, 8, Rounding::kTowardZero) == 127);
  CHECK(quantize_real(-1.0F, 7, 8, Rounding::kTowardZero) == -128);
  CHECK(quantize_real(3e38F, 64, 16, Rounding::kFloor) == 32767);
  CHECK(quantize_real(-3e38F, 64, 16, Rounding::kFloor) == -32768);
  CHECK(quantize_real(1e-45F, 64, 8, Rounding::kTowardZero) == 0);
  CHECK(quantize_real(-1e-45F, 64, 8, Rounding::kFloor) == -1);
  CHECK(quantize_real(12.0F, -2, 8, Rounding::kTowardZero) == 3);
  for (const Rounding mode : kModes)
    for (std::int64_t code = -1024; code <= 1023; ++code)
      REQUIRE(quantize_real(std::ldexp(static_cast<float>(code), -9), 5, 16, mode) ==
              by_definition(code, 4, mode));
}

TEST_CASE("compare_post decides equality of chains exactly") {
  // Every pair of two small chains, against trying every argument.
  std::vector<std::vector<PostStep>> chains;
  for (const Rounding mode : kModes)
    for (int drop = -1; drop <= 3; ++drop)
      for (const std::int64_t lo : {-8, 0}) chains.push_back({{drop, mode, lo, 7}});
  const PostStep relu = {0, Rounding::kTowardZero, 0, kHighest};
  const std::size_t plain = chains.size();
  for (std::size_t i = 0; i < plain; ++i) {
    chains.push_back({relu, chains[i][0]});
    chains.push_back({chains[i][0], relu});
  }
  int equal = 0, different = 0;
  for (const auto& a : chains)
    for (const auto& b : chains) {
      bool same = true;
      for (std::int64_t x = -70; x <= 70; ++x)
        same = same && apply_steps(a, x) == apply_steps(b, x);
      const auto found = compare_post(a, b, -70, 70).difference;
      REQUIRE(found.has_value() == !same);
      if (found) REQUIRE(apply_steps(a, *found) != apply_steps(b, *found));
      (same ? equal : different) += 1;
    }
  CHECK(equal > static_cast<int>(chains.size()));
  CHECK(different > 0);
}
