// intrt/arith.h against what rounding and clamping mean (tests/support/rounding_lemma.h), for every
// accumulator of 32 bits: these are the lemmas beneath each proof about a plan. Accumulators of 64
// bits, of which there are too many, at all boundaries and at random.
#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "intrt/arith.h"
#include "tests/intrt/requantize_loops.h"
#include "tests/support/rounding_lemma.h"

namespace lockstep::test {
namespace {

__extension__ using Wide = __int128;

constexpr RoundingMode kModes[] = {RoundingMode::kTowardZero, RoundingMode::kFloor,
                                   RoundingMode::kHalfEven};
constexpr std::int32_t kMin = std::numeric_limits<std::int32_t>::min();
constexpr std::int32_t kMax = std::numeric_limits<std::int32_t>::max();
// By shift % 4; intrt_requantize clamps to all of them at the boundaries in arith_test.cpp.
constexpr Limits kLimits[] = {{-128, 127}, {0, 127}, {-32768, 32767}, {kMin, kMax}};

const Loops& loops() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return kAvx512Loops;
  if (__builtin_cpu_supports("avx2")) return kAvx2Loops;
#endif
  return kBaselineLoops;
}

// The first of the accumulators, counted from 0 as two's complement, of the first kPart among which
// the loop does not hold; nothing where it holds for all 2^32.
std::optional<std::int32_t> part_that_fails(Loop loop, Limits limits) {
  constexpr std::uint32_t kBlock = 1U << 20, kBlocks = 1U << 12;
  std::atomic<std::uint32_t> next = 0;
  std::atomic<bool> holds = true;
  const auto work = [&] {
    for (std::uint32_t block = next++; block < kBlocks; block = next++)
      if (!loop(block * kBlock, kBlock, limits)) holds = false;
  };
  std::thread other(work);
  work();
  other.join();
  if (holds) return std::nullopt;
  for (std::uint64_t first = 0;; first += kPart)
    if (!loop(static_cast<std::uint32_t>(first), kPart, limits))
      return static_cast<std::int32_t>(static_cast<std::uint32_t>(first));
}

void check_all(Loop loop, int shift, const std::string& what) {
  const Limits limits = kLimits[shift % 4];
  const auto failing = part_that_fails(loop, limits);
  INFO(what, ", shift = ", shift, ", lo = ", limits.lo, ", hi = ", limits.hi, ": wrong for one of ",
       kPart, " accumulators from ", failing.value_or(0), " on");
  CHECK_FALSE(failing);
}

// A loop that does not hold for one accumulator.
bool wrong_in_one(std::uint32_t first, std::uint32_t count, Limits) {
  return !(first <= 0xFFFFF123U && 0xFFFFF123U - first < count);
}

}  // namespace

TEST_CASE(
    "the statement of rounding holds of one integer, for each mode, and that is the right one") {
  for (int x = -70; x <= 70; ++x)
    for (const int unit : {1, 2, 4, 8, 64})
      for (const RoundingMode mode : kModes) {
        CAPTURE(x);
        CAPTURE(unit);
        int found = 0, count = 0;
        for (int q = -200; q <= 200; ++q)
          if (is_rounded(mode, x, unit, q)) {
            found = q;
            count += 1;
          }
        CHECK(count == 1);
        // A double holds the quotient; nearbyint rounds half to even.
        const double quotient = static_cast<double>(x) / unit;
        CHECK(found == (mode == RoundingMode::kTowardZero ? std::trunc(quotient)
                        : mode == RoundingMode::kFloor    ? std::floor(quotient)
                                                          : std::nearbyint(quotient)));
      }
}

TEST_CASE("one accumulator of 2^32 that is wrong is found") {
  const auto failing = part_that_fails(wrong_in_one, {});
  REQUIRE(failing);
  CHECK(*failing == static_cast<std::int32_t>(0xFFFFF123U - 0xFFFFF123U % kPart));
}

TEST_CASE("right shifts are the rounded quotient and requantize its clamp for all accumulators") {
  for (const RoundingMode mode : kModes)
    for (int shift = 0; shift < kRightShifts; ++shift)
      check_all(loops().right[static_cast<std::size_t>(mode)][static_cast<std::size_t>(shift)],
                shift, "rounding " + std::to_string(static_cast<int>(mode)));
  MESSAGE(std::string(loops().name), ": ", 3 * kRightShifts,
          " * 2^32 quotients, and as many codes");
}

TEST_CASE("left shifts are the clamp of the product for all accumulators") {
  for (int shift = 1; shift <= kLeftShifts; ++shift)
    check_all(loops().left[static_cast<std::size_t>(shift - 1)], shift, "to the left");
  MESSAGE(std::string(loops().name), ": ", kLeftShifts, " * 2^32 codes");
}

namespace {

// Whether y is x / 2^shift, rounded and clamped, without naming the quotient: where y is a limit,
// the quotient is it or lies beyond, and all modes are monotone.
bool is_requantized(RoundingMode mode, Wide x, int shift, std::int32_t lo, std::int32_t hi,
                    std::int32_t y) {
  Wide unit = 1;
  for (int i = 0; i < shift; ++i) unit *= 2;
  // The quotient is floor or floor + 1: by the statement itself.
  Wide floor = x / unit;
  while (floor * unit > x) floor -= 1;
  for (Wide q = floor; q <= floor + 1; ++q)
    if (is_rounded(mode, x, unit, q)) return y == (q < lo ? lo : q > hi ? hi : q);
  return false;
}

// |x| <= 2^62: near each multiple of half a unit that lies near 0, near the limits of codes, and
// near a random one; and random ones of all sizes.
std::vector<std::int64_t> wide_accumulators(int shift, std::mt19937_64& random) {
  constexpr std::int64_t kMost = std::int64_t{1} << 62;
  std::vector<Wide> centers = {-kMost, kMost, kMin, kMax};
  const Wide unit = Wide{1} << shift;
  for (const Wide halves : {0, 1, 2, 3, 4, 5, 253, 254, 255, 256, 257})
    for (const Wide sign : {-1, 1}) centers.push_back(sign * halves * unit / 2);
  for (const Wide limit : {Wide{kMin}, Wide{kMax}, Wide{-32768}, Wide{32767}})
    for (const Wide half : {-1, 0, 1}) centers.push_back((2 * limit + half) * unit / 2);
  for (int n = 0; n < 400; ++n) {
    const auto x = static_cast<std::int64_t>(random()) >> (1 + random() % 62);
    centers.push_back(x);
    centers.push_back(Wide{x} / unit * unit + unit / 2);
  }
  std::vector<std::int64_t> all;
  for (const Wide center : centers)
    for (Wide x = center - 3; x <= center + 3; ++x)
      if (x >= -kMost && x <= kMost) all.push_back(static_cast<std::int64_t>(x));
  return all;
}

struct Wrong {
  std::int64_t x = 0;
  int shift = 0, rounding = 0;
  std::int32_t lo = 0, hi = 0, code = 0;
};

void check_none(const std::optional<Wrong>& wrong) {
  const Wrong one = wrong.value_or(Wrong());
  INFO("x = ", one.x, ", shift = ", one.shift, ", rounding = ", one.rounding, ", lo = ", one.lo,
       ", hi = ", one.hi, ": got ", one.code);
  CHECK_FALSE(wrong);
}

}  // namespace

TEST_CASE("wide requantize is the clamped quotient at all boundaries and at random") {
  std::mt19937_64 random(62);
  std::optional<Wrong> wrong;
  std::int64_t count = 0;
  for (int shift = 0; shift <= INTRT_WIDE_SHIFT_MAX; ++shift)
    for (const std::int64_t x : wide_accumulators(shift, random))
      for (const RoundingMode mode : kModes)
        for (const auto& [lo, hi] : kLimits) {
          const int rounding = static_cast<int>(mode);
          const std::int32_t code = intrt_requantize_wide(x, shift, rounding, lo, hi);
          count += 1;
          if (!is_requantized(mode, x, shift, lo, hi, code))
            wrong = Wrong{x, shift, rounding, lo, hi, code};
        }
  check_none(wrong);
  MESSAGE(count, " codes");
}

TEST_CASE("scale is the clamped quotient at all boundaries and at random") {
  std::mt19937_64 random(63);
  std::optional<Wrong> wrong;
  std::int64_t count = 0;
  for (int shift = 0; shift <= INTRT_WIDE_SHIFT_MAX; ++shift)
    for (const std::int64_t sum : wide_accumulators(shift, random)) {
      // A product and an addend, below 2^62 in magnitude, of that sum.
      const auto x = static_cast<std::int32_t>(random() >> (random() % 64));
      const auto multiplier = static_cast<std::int32_t>(random() >> (random() % 64));
      for (const std::int32_t factor : {multiplier, 0, 1, -1, kMin, kMax}) {
        const Wide addend = Wide{sum} - Wide{x} * factor;
        if (addend <= -(Wide{1} << 62) || addend >= Wide{1} << 62) continue;
        for (const RoundingMode mode : {RoundingMode::kTowardZero, RoundingMode::kFloor})
          for (const auto& [lo, hi] : {Limits{-128, 127}, Limits{0, 127}, Limits{-32768, 32767}}) {
            const int rounding = static_cast<int>(mode);
            const std::int32_t code =
                intrt_scale(x, factor, static_cast<std::int64_t>(addend), shift, rounding, lo, hi);
            count += 1;
            if (!is_requantized(mode, sum, shift, lo, hi, code))
              wrong = Wrong{sum, shift, rounding, lo, hi, code};
          }
      }
    }
  check_none(wrong);
  MESSAGE(count, " codes");
}

}  // namespace lockstep::test
