// intrt/arith.h against the definitions in 64 bits: exhaustively where that is quick, and at the
// places where 32-bit arithmetic could break.
#include "intrt/arith.h"

#include <doctest/doctest.h>

#include <limits>
#include <random>
#include <set>

#include "tests/intrt/exact.h"

namespace {

using lockstep::testing::affine_exactly;
using lockstep::testing::Rounding;
using lockstep::testing::scale_exactly;

constexpr std::int32_t kMin = std::numeric_limits<std::int32_t>::min();
constexpr std::int32_t kMax = std::numeric_limits<std::int32_t>::max();
constexpr Rounding kRoundings[] = {Rounding::kTowardZero, Rounding::kFloor, Rounding::kHalfEven};

// Values near every power of two and near every half of one, and the ends.
std::vector<std::int32_t> boundary_values() {
  std::set<std::int64_t> values = {kMin, kMin + 1, kMin + 2, kMax, kMax - 1, kMax - 2};
  for (int k = 0; k <= 31; ++k)
    for (std::int64_t factor : {1, 3, 5, 7})
      for (std::int64_t sign : {-1, 1})
        for (std::int64_t near = -3; near <= 3; ++near) {
          const std::int64_t value = sign * factor * (std::int64_t{1} << k) + near;
          if (value >= kMin && value <= kMax) values.insert(value);
        }
  return {values.begin(), values.end()};
}

// First failure only: a loop of millions must not print millions.
struct Failure {
  bool seen = false;
  std::int64_t x = 0, expected = 0, got = 0;
  int shift = 0, rounding = 0;
  void note(std::int64_t x_, int shift_, int rounding_, std::int64_t expected_, std::int64_t got_) {
    if (seen || expected_ == got_) return;
    *this = {true, x_, expected_, got_, shift_, rounding_};
  }
  void check() const {
    INFO("x = ", x, ", shift = ", shift, ", rounding = ", rounding, ": expected ", expected,
         ", got ", got);
    CHECK_FALSE(seen);
  }
};

}  // namespace

TEST_CASE("the numbers of the rounding modes are those of the definitions") {
  CHECK(INTRT_ROUND_TOWARD_ZERO == static_cast<int>(Rounding::kTowardZero));
  CHECK(INTRT_ROUND_FLOOR == static_cast<int>(Rounding::kFloor));
  CHECK(INTRT_ROUND_HALF_EVEN == static_cast<int>(Rounding::kHalfEven));
}

TEST_CASE("the rounding modes treat -2.5, -0.25, 0.5 and 1.5 as documented") {
  struct Example {
    std::int32_t x;
    int shift;
    std::int32_t toward_zero, floor, half_even;
  };
  for (const Example& e :
       {Example{-5, 1, -2, -3, -2}, Example{-1, 2, 0, -1, 0}, Example{1, 1, 0, 0, 0},
        Example{3, 1, 1, 1, 2}, Example{-3, 1, -1, -2, -2}, Example{7, 2, 1, 1, 2}}) {
    CAPTURE(e.x);
    CHECK(intrt_shift_right_toward_zero(e.x, e.shift) == e.toward_zero);
    CHECK(intrt_shift_right_floor(e.x, e.shift) == e.floor);
    CHECK(intrt_shift_right_half_even(e.x, e.shift) == e.half_even);
  }
}

TEST_CASE("right shifts equal the rounded quotient for every 16-bit value and every shift") {
  Failure failure;
  for (int shift = 0; shift <= 30; ++shift)
    for (std::int32_t x = -32768; x <= 32767; ++x)
      for (const Rounding rounding : kRoundings)
        failure.note(x, shift, static_cast<int>(rounding), scale_exactly(x, shift, rounding),
                     intrt_shift_right(x, shift, static_cast<int>(rounding)));
  failure.check();
}

TEST_CASE("right shifts equal the rounded quotient at the boundaries of 32 bits") {
  Failure failure;
  for (const std::int32_t x : boundary_values())
    for (int shift = 0; shift <= 30; ++shift)
      for (const Rounding rounding : kRoundings)
        failure.note(x, shift, static_cast<int>(rounding), scale_exactly(x, shift, rounding),
                     intrt_shift_right(x, shift, static_cast<int>(rounding)));
  failure.check();
}

TEST_CASE("requantize equals clamp of the exact value for every shift, rounding and limit") {
  struct Limits {
    std::int32_t lo, hi;
  };
  Failure failure;
  for (const std::int32_t x : boundary_values())
    for (int shift = INTRT_SHIFT_MIN; shift <= INTRT_SHIFT_MAX; ++shift)
      for (const Rounding rounding : kRoundings)
        for (const Limits limits : {Limits{-128, 127}, Limits{0, 127}, Limits{-2, 1}, Limits{5, 5},
                                    Limits{-32768, 32767}, Limits{kMin, kMax}}) {
          const std::int64_t exact = scale_exactly(x, shift, rounding);
          const std::int64_t expected = std::clamp<std::int64_t>(exact, limits.lo, limits.hi);
          failure.note(
              x, shift, static_cast<int>(rounding), expected,
              intrt_requantize(x, shift, static_cast<int>(rounding), limits.lo, limits.hi));
        }
  failure.check();
}

TEST_CASE("clamp keeps what lies between the limits and nothing else") {
  Failure failure;
  for (const std::int32_t lo : {kMin, -128, 0, 3})
    for (const std::int32_t hi : {3, 127, kMax})
      for (const std::int32_t x : boundary_values())
        failure.note(x, lo, hi, x < lo ? lo : x > hi ? hi : x, intrt_clamp(x, lo, hi));
  failure.check();
}

TEST_CASE("wide requantize equals clamp of the exact value at the ends and near every step") {
  std::vector<std::int64_t> values;
  for (int k = 0; k <= 62; ++k)
    for (const std::int64_t sign : {-1, 1})
      for (std::int64_t near = -3; near <= 3; ++near) {
        const std::int64_t x = sign * ((std::int64_t{1} << k) + near);
        const std::int64_t half = sign * ((std::int64_t{3} << k >> 1) + near);
        for (const std::int64_t value : {x, half})
          if (value >= -(std::int64_t{1} << 62) && value <= std::int64_t{1} << 62)
            values.push_back(value);
      }
  Failure failure;
  for (const std::int64_t x : values)
    for (int shift = 0; shift <= INTRT_WIDE_SHIFT_MAX; ++shift)
      for (const Rounding rounding : kRoundings)
        for (const auto& [lo, hi] : {std::pair{-128, 127}, std::pair{kMin, kMax}, std::pair{0, 5}})
          failure.note(x, shift, static_cast<int>(rounding),
                       std::clamp<std::int64_t>(scale_exactly(x, shift, rounding), lo, hi),
                       intrt_requantize_wide(x, shift, static_cast<int>(rounding), lo, hi));
  failure.check();
}

TEST_CASE("scale equals clamp of the exact quotient at the ends of every range and shift") {
  constexpr std::int64_t kAddend = (std::int64_t{1} << 62) - 1;
  struct Limits {
    std::int32_t lo, hi;
  };
  const std::int32_t ends[] = {kMin, kMin + 1, -65537, -2, -1, 0, 1, 3, 65536, kMax - 1, kMax};
  Failure failure;
  for (const std::int32_t x : ends)
    for (const std::int32_t multiplier : ends)
      for (int shift = 0; shift <= INTRT_WIDE_SHIFT_MAX; ++shift)
        for (const std::int64_t addend :
             {-kAddend, -kAddend + 1, -(std::int64_t{1} << 31), std::int64_t{-1}, std::int64_t{0},
              std::int64_t{1}, std::int64_t{1} << shift >> 1, kAddend - 1, kAddend})
          for (const Rounding rounding : {Rounding::kTowardZero, Rounding::kFloor})
            for (const Limits limits :
                 {Limits{-128, 127}, Limits{5, 5}, Limits{-32768, 32767}, Limits{kMin, kMax}})
              failure.note(
                  x, shift, static_cast<int>(rounding),
                  affine_exactly(x, multiplier, addend, shift, rounding, limits.lo, limits.hi),
                  intrt_scale(x, multiplier, addend, shift, static_cast<int>(rounding), limits.lo,
                              limits.hi));
  failure.check();
}

TEST_CASE("scale equals clamp of the exact quotient near each step of its result") {
  std::mt19937_64 random(5);
  Failure failure;
  for (int n = 0; n < 20000; ++n) {
    const int shift = static_cast<int>(random() % 63);
    const auto multiplier = static_cast<std::int32_t>(random() >> (random() % 31 + 32));
    const auto addend = static_cast<std::int64_t>(random()) >> (2 + random() % 60);
    if (multiplier == 0) continue;
    // x near (code * 2^shift - addend) / multiplier, where the result changes.
    for (int code = -3; code <= 3; ++code) {
      const long double step =
          (static_cast<long double>(code) * (1ULL << shift) - addend) / multiplier;
      if (step < kMin + 4.0L || step > kMax - 4.0L) continue;
      for (int near = -3; near <= 3; ++near) {
        const auto x = static_cast<std::int32_t>(static_cast<std::int64_t>(step) + near);
        for (const Rounding rounding : {Rounding::kTowardZero, Rounding::kFloor})
          failure.note(
              x, shift, static_cast<int>(rounding),
              affine_exactly(x, multiplier, addend, shift, rounding, -128, 127),
              intrt_scale(x, multiplier, addend, shift, static_cast<int>(rounding), -128, 127));
      }
    }
  }
  failure.check();
}

TEST_CASE("the product by halves is the product at the ends of halves and of 32 bits") {
  std::mt19937 random(7);
  std::vector<std::int32_t> values = boundary_values();
  for (int n = 0; n < 1000; ++n) values.push_back(static_cast<std::int32_t>(random()));
  Failure failure;
  for (const std::int32_t x : values)
    for (const std::int32_t multiplier : values) {
      const std::int64_t exact = std::int64_t{x} * multiplier;
      failure.note(x, multiplier, 0, exact, intrt_product_by_halves(x, multiplier));
      failure.note(x, multiplier, 1, exact, intrt_product(x, multiplier));
    }
  failure.check();
}

TEST_CASE("scale_top equals clamp of the exact quotient near each step of its result") {
  std::mt19937 random(8);
  Failure failure;
  for (int n = 0; n < 20000; ++n) {
    const auto multiplier = static_cast<std::int32_t>(random()) >> (random() % 31);
    const auto addend = static_cast<std::int32_t>(random()) >> (1 + random() % 31);
    if (multiplier == 0) continue;
    // x near (code - addend) * 2^32 / multiplier, where the result changes.
    for (int code = -3; code <= 3; ++code) {
      const long double step =
          (static_cast<long double>(code) - addend) * (1ULL << 32) / multiplier;
      const bool reached = step > kMin + 4.0L && step < kMax - 4.0L;
      for (int near = -3; near <= 3; ++near) {
        const auto x = reached ? static_cast<std::int32_t>(static_cast<std::int64_t>(step) + near)
                               : static_cast<std::int32_t>(random());
        const std::int64_t top = (std::int64_t{x} * multiplier >> 32) + addend;
        failure.note(x, multiplier, 0, std::clamp<std::int64_t>(top, -128, 127),
                     intrt_scale_top(x, multiplier, addend, -128, 127));
      }
    }
  }
  failure.check();
}

TEST_CASE("scale rounds -2.5, -0.25 and 1.5 as documented") {
  CHECK(intrt_scale(-5, 1, 0, 1, INTRT_ROUND_TOWARD_ZERO, -9, 9) == -2);
  CHECK(intrt_scale(-5, 1, 0, 1, INTRT_ROUND_FLOOR, -9, 9) == -3);
  CHECK(intrt_scale(-1, 1, 0, 2, INTRT_ROUND_TOWARD_ZERO, -9, 9) == 0);
  CHECK(intrt_scale(-1, 1, 0, 2, INTRT_ROUND_FLOOR, -9, 9) == -1);
  CHECK(intrt_scale(1, 2, 1, 1, INTRT_ROUND_FLOOR, -9, 9) == 1);
}

TEST_CASE("step gives the code of as many thresholds as x has reached, for every count and place") {
  std::mt19937 random(6);
  for (std::uint32_t count = 0; count <= 40; ++count) {
    std::set<std::int32_t> rising = {kMin, kMax};
    while (rising.size() < 60) rising.insert(static_cast<std::int32_t>(random()));
    std::vector<std::int32_t> thresholds(rising.begin(), rising.end());
    thresholds.resize(count);
    if (count > 1 && count % 2 == 0) thresholds.back() = kMax;
    std::vector<std::int16_t> codes(count + 1);
    for (std::int16_t& code : codes) code = static_cast<std::int16_t>(random());
    std::set<std::int32_t> places = {kMin, -1, 0, 1, kMax};
    for (const std::int32_t threshold : thresholds)
      for (int near = -1; near <= 1; ++near)
        places.insert(static_cast<std::int32_t>(
            std::clamp<std::int64_t>(std::int64_t{threshold} + near, kMin, kMax)));
    for (const std::int32_t x : places) {
      CAPTURE(count);
      CAPTURE(x);
      std::size_t reached = 0;
      for (const std::int32_t threshold : thresholds) reached += threshold <= x;
      CHECK(intrt_step(x, thresholds.data(), count, codes.data()) == codes[reached]);
    }
  }
}
