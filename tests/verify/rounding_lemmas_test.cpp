// The checker's shift against what rounding means (tests/support/rounding_lemma.h), the statement
// that the runtime's formulas are held against, too.
#include <doctest/doctest.h>

#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "tests/support/rounding_lemma.h"
#include "verify/checker/functions.h"

namespace lockstep::test {
namespace {

using checker::Wide;

constexpr RoundingMode kModes[] = {RoundingMode::kTowardZero, RoundingMode::kFloor,
                                   RoundingMode::kHalfEven};
static_assert(static_cast<int>(checker::Rounding::kTowardZero) == 0 &&
              static_cast<int>(checker::Rounding::kFloor) == 1 &&
              static_cast<int>(checker::Rounding::kHalfEven) == 2);

Wide power_of_two(int exponent) {
  Wide power = 1;
  for (int i = 0; i < exponent; ++i) power *= 2;
  return power;
}

// Counts, and keeps the first that is wrong.
struct Tally {
  struct Wrong {
    std::int64_t x = 0;
    int shift = 0, mode = 0;
  };
  std::optional<Wrong> wrong;
  std::int64_t count = 0;

  void look(std::int64_t x, int shift, Wide unit) {
    for (const RoundingMode mode : kModes) {
      const Wide q = checker::shift_rounded(x, shift, static_cast<checker::Rounding>(mode));
      const bool holds = shift < 0 ? q == Wide{x} * unit : is_rounded<Wide>(mode, x, unit, q);
      count += 1;
      if (!holds && !wrong) wrong = {x, shift, static_cast<int>(mode)};
    }
  }
  void check() const {
    MESSAGE(count, " quotients");
    const Wrong one = wrong.value_or(Wrong());
    INFO("x = ", one.x, ", shift = ", one.shift, ", rounding = ", one.mode);
    CHECK_FALSE(wrong);
  }
};

}  // namespace

TEST_CASE("the checker's shift is the rounded quotient at all boundaries and at random") {
  std::mt19937_64 random(64);
  Tally tally;
  for (int shift = -62; shift <= 100; ++shift) {
    const Wide unit = power_of_two(std::abs(shift)), most = power_of_two(63) - 1;
    std::vector<Wide> centers = {-most, most, power_of_two(31), -power_of_two(31)};
    for (const Wide halves : {0, 1, 2, 3, 4, 5, 253, 254, 255, 256, 257})
      for (const Wide sign : {-1, 1}) centers.push_back(sign * halves * unit / 2);
    for (int n = 0; n < 400; ++n) {
      const auto x = static_cast<std::int64_t>(random()) >> (1 + random() % 62);
      centers.push_back(x);
      centers.push_back(Wide{x} / unit * unit + unit / 2);
    }
    for (const Wide center : centers)
      for (Wide x = center - 3; x <= center + 3; ++x)
        if (x >= -most && x <= most) tally.look(static_cast<std::int64_t>(x), shift, unit);
  }
  tally.check();
}

TEST_CASE("the checker's shift is the rounded quotient all over the accumulators of 32 bits") {
  // A prime as the distance, so that all residues modulo all units come.
  constexpr std::int64_t kDistance = 641, kEnd = std::int64_t{1} << 31;
  Tally tally;
  for (const int shift : {-31, -7, 0, 1, 2, 7, 8, 16, 24, 30})
    for (std::int64_t x = -kEnd; x < kEnd; x += kDistance)
      tally.look(x, shift, power_of_two(std::abs(shift)));
  tally.check();
}

}  // namespace lockstep::test
