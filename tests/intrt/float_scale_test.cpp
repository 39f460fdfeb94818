// Scales as float32 functions against intrt_scale and intrt_step: what is found is right for all
// 2^32 accumulators.
#include "tests/intrt/float_scale_loops.h"

#include <cmath>

#include "intrt/arith.h"
#include "tests/intrt/kernel_cases.h"

using namespace lockstep::testing;

namespace {

// As compiled networks have them: 64 to 2,048 accumulators for each code.
IntegerScale usual_scale(Random& random) {
  IntegerScale scale{};
  scale.rounding = random.one_in(2) ? INTRT_ROUND_TOWARD_ZERO : INTRT_ROUND_FLOOR;
  scale.shift = static_cast<int>(random.between(16, 34));
  scale.lo = random.one_in(2) ? 0 : -128;
  scale.hi = static_cast<int>(random.between(100, 127));
  const std::int64_t most = std::int64_t{1} << (scale.shift - random.between(6, 10));
  scale.multiplier = static_cast<std::int32_t>(random.between(most / 2, most));
  if (random.one_in(3)) scale.multiplier = -scale.multiplier;
  scale.addend = random.between(-20, 20) * (std::int64_t{1} << scale.shift) +
                 random.between(0, (std::int64_t{1} << scale.shift) - 1);
  return scale;
}

// 16 accumulators around `x`.
std::vector<std::int32_t> around(std::int64_t x) {
  std::vector<std::int32_t> result;
  for (std::int64_t i = -8; i < 8; ++i)
    result.push_back(
        static_cast<std::int32_t>(std::clamp<std::int64_t>(x + i, INT32_MIN, INT32_MAX)));
  return result;
}

template <typename CodeOf>
void compare_around(const FloatLoops& loops, const FloatForm& form, std::int64_t place,
                    const CodeOf& code_of) {
  const std::vector<std::int32_t> x = around(place);
  std::vector<std::int32_t> codes(16);
  loops.codes_of(form, x.data(), codes.data());
  for (std::size_t i = 0; i < x.size(); ++i) {
    INFO("accumulator ", x[i]);
    REQUIRE(codes[i] == code_of(x[i]));
  }
}

// Calls f with the functions of each variant that this CPU runs.
template <typename F>
void for_each_variant(const F& f) {
  bool is_one_there = false;
  for (std::uint32_t v = 0; intrt_kernel_variant(v) != nullptr; ++v) {
    const std::string name = intrt_kernel_variant(v);
    if (intrt_kernel_variant_runs_here(v) == 0 || (name != "avx512vnni" && name != "avx2"))
      continue;
    INFO(name);
    is_one_there = true;
    f(name == "avx2" ? kFloatLoops_avx2 : kFloatLoops_avx512vnni);
  }
  if (!is_one_there) MESSAGE("skipped: this CPU runs neither avx512vnni nor avx2");
}

}  // namespace

TEST_CASE("float scales give the codes of integer scales around each step and far from it") {
  for_each_variant([&](const FloatLoops& loops) {
    int found = 0;
    for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
      CAPTURE(seed);
      Random random(seed);
      const IntegerScale scale = usual_scale(random);
      const FloatForm form = loops.form_of(scale);
      if (!form.found) continue;
      ++found;
      std::vector<std::int64_t> places = {INT32_MIN, INT32_MAX, 0};
      for (int i = 0; i < form.count; ++i) places.push_back(form.sign * form.least[i]);
      for (int i = 0; i < 100; ++i) places.push_back(random.between(INT32_MIN, INT32_MAX));
      for (const std::int64_t place : places)
        compare_around(loops, form, place, [&](std::int32_t x) {
          return intrt_scale(x, scale.multiplier, scale.addend, scale.shift, scale.rounding,
                             scale.lo, scale.hi);
        });
    }
    MESSAGE(found << " of 2000 scales have a float form");
    // Where sums are rounded to the nearest, the search reckons with that: without, it finds 1,889.
    CHECK(found > (&loops == &kFloatLoops_avx2 ? 1975 : 1000));
  });
}

TEST_CASE("float scales give the codes of steps, rising and falling") {
  for_each_variant([&](const FloatLoops& loops) {
    int found = 0, not_found = 0;
    for (std::uint64_t seed = 1; seed <= 500; ++seed) {
      CAPTURE(seed);
      Random random(seed);
      // The steps of a scale; of some channels a few are moved by one, which few lines follow.
      const double slope = 1.0 / static_cast<double>(random.between(60, 800));
      const double addend = static_cast<double>(random.between(-40, 40)) / 7;
      const bool rises = random.one_in(2), is_moved = random.one_in(2);
      std::vector<std::int32_t> thresholds;
      std::vector<std::int16_t> codes = {static_cast<std::int16_t>(rises ? -60 : 60)};
      for (int code = -59; code <= 100; ++code) {
        codes.push_back(static_cast<std::int16_t>(rises ? code : -code));
        thresholds.push_back(static_cast<std::int32_t>(std::ceil((code - addend) / slope)) +
                             (is_moved && random.one_in(9) ? 1 : 0));
      }
      const auto count = static_cast<std::uint32_t>(thresholds.size());
      const FloatForm form = loops.form_of_steps(thresholds.data(), count, codes.data(), false);
      if (!form.found) {
        ++not_found;
        continue;
      }
      ++found;
      for (const std::int32_t threshold : thresholds)
        compare_around(loops, form, threshold, [&](std::int32_t x) {
          return intrt_step(x, thresholds.data(), count, codes.data());
        });
    }
    MESSAGE(found << " of 500 channels with steps have a float form");
    CHECK(found > 100);
    CHECK(not_found > 100);
  });
}

TEST_CASE("one threshold that is not on the line of the others is an exception") {
  for_each_variant([&](const FloatLoops& loops) {
    int exceptions = 0, lines = 0;
    for (std::uint64_t seed = 1; seed <= 500; ++seed) {
      CAPTURE(seed);
      Random random(seed);
      const double slope = 1.0 / (static_cast<double>(random.between(6000, 80000)) / 97);
      const double addend = static_cast<double>(random.between(-280, 280)) / 7;
      const bool toward_zero = random.one_in(2), rises = random.one_in(2);
      constexpr int kLo = -100, kHi = 110;
      const int moved = static_cast<int>(random.between(kLo + 1, kHi));
      const int by = random.one_in(2) ? 1 : -1;
      std::vector<std::int32_t> thresholds;
      std::vector<std::int16_t> codes;
      for (int code = kLo; code <= kHi; ++code) {
        codes.push_back(static_cast<std::int16_t>(rises ? code : kHi - code + kLo));
        if (code == kLo) continue;
        // To zero, a code up to 0 begins behind the whole number below it. Where codes fall, the
        // same steps belong to the codes from the other end.
        const bool is_behind = toward_zero && (rises ? code <= 0 : kHi - code + kLo < 0);
        const double begin = rises ? (is_behind ? code - 1 : code) : (is_behind ? code : code - 1);
        const double x = (begin - addend) / slope;
        const double threshold = is_behind ? std::floor(x) + 1 : std::ceil(x);
        thresholds.push_back(static_cast<std::int32_t>(threshold) + (code == moved ? by : 0));
      }
      const auto count = static_cast<std::uint32_t>(thresholds.size());
      const FloatForm form =
          loops.form_of_steps(thresholds.data(), count, codes.data(), toward_zero);
      if (!form.found) continue;
      ++(form.change == 0 ? lines : exceptions);
      for (const std::int32_t threshold : thresholds)
        compare_around(loops, form, threshold, [&](std::int32_t x) {
          return intrt_step(x, thresholds.data(), count, codes.data());
        });
    }
    MESSAGE(exceptions << " of 500 channels have a line with an exception, " << lines << " a line");
    CHECK(exceptions > 400);
  });
}

TEST_CASE("codes that rise and fall, and scales that are too steep, have no float form") {
  for_each_variant([&](const FloatLoops& loops) {
    const std::int32_t thresholds[] = {0, 10};
    const std::int16_t codes[] = {0, 1, 0};
    CHECK(loops.form_of_steps(thresholds, 2, codes, false).count == -1);
    CHECK(!loops.form_of({1 << 20, 0, 20, INTRT_ROUND_FLOOR, -128, 127}).found);
  });
}

TEST_CASE("a multiplier of 0 gives one code") {
  for_each_variant([&](const FloatLoops& loops) {
    for (const std::int64_t addend : {-300, -5, -1, 0, 1, 4, 7, 900})
      for (const std::uint32_t rounding : {INTRT_ROUND_TOWARD_ZERO, INTRT_ROUND_FLOOR}) {
        const IntegerScale scale = {0, addend, 2, rounding, -128, 127};
        const FloatForm form = loops.form_of(scale);
        REQUIRE(form.found);
        compare_around(loops, form, 0, [&](std::int32_t x) {
          return intrt_scale(x, 0, addend, 2, rounding, -128, 127);
        });
      }
  });
}

// What the argument in float_scale.h says, tried.
TEST_CASE("float scales equal integer scales for all 2^32 accumulators") {
  for_each_variant([&](const FloatLoops& loops) {
    int tried = 0;
    for (std::uint64_t seed = 1; tried < 2; ++seed) {
      CAPTURE(seed);
      Random random(seed);
      const IntegerScale scale = usual_scale(random);
      const FloatForm form = loops.form_of(scale);
      if (!form.found || form.toward_zero != (tried % 2 == 0)) continue;
      ++tried;
      CHECK(loops.differences(form, scale) == 0);
    }
  });
}
