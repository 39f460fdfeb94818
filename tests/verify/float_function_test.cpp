// The float functions of the exact semantics against docs/arithmetic.md done once more in long
// double, each step rounded to float32, and what they say about themselves against many arguments.
#include "verify/semantics/float_function.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>

using namespace lockstep::verify;

namespace {

using Wide = long double;

float fl(Wide x) { return static_cast<float>(x); }
// 64 bits of significand are more than twice 24 plus 2, so rounding twice rounds like once.
float plus(float a, float b) { return fl(Wide{a} + Wide{b}); }
float times(float a, float b) { return fl(Wide{a} * Wide{b}); }
float over(float a, float b) { return fl(Wide{a} / Wide{b}); }
float clip6(float x) { return std::fmin(std::fmax(x, 0.0F), 6.0F); }

// The table of docs/arithmetic.md.
float by_definition(const FloatStep& step, float x) {
  const float a = step.a, b = step.b;
  switch (step.function) {
    case FloatFunction::kAdd:
      return plus(x, a);
    case FloatFunction::kMean:
      return over(x, a);
    case FloatFunction::kScaleAdd:
      return plus(times(x, a), b);
    case FloatFunction::kRelu:
      return std::fmax(x, 0.0F);
    case FloatFunction::kRelu6:
      return clip6(x);
    case FloatFunction::kLeakyRelu:
      return x > 0 ? x : times(x, a);
    case FloatFunction::kHardSigmoid:
      return over(clip6(plus(x, 3)), 6);
    case FloatFunction::kHardSwish:
      return over(times(x, clip6(plus(x, 3))), 6);
    case FloatFunction::kTanh:
      return fl(std::tanh(Wide{x}));
    case FloatFunction::kSigmoid:
      return over(1, plus(1, fl(std::exp(-Wide{x}))));
    case FloatFunction::kSilu:
      return over(x, plus(1, fl(std::exp(-Wide{x}))));
    case FloatFunction::kGelu:
      return times(times(x, 0.5F),
                   plus(1, fl(std::erf(Wide{times(x, fl(std::sqrt(Wide{0.5L})))}))));
    case FloatFunction::kElu:
      return x > 0 ? x : times(plus(fl(std::exp(Wide{x})), -1), a);
    case FloatFunction::kSoftplus: {
      const float scaled = times(x, a);
      return scaled > b ? x : over(fl(std::log1p(Wide{fl(std::exp(Wide{scaled}))})), a);
    }
    case FloatFunction::kByteScale:
      return fl(double{x} * step.scale);
  }
  return 0;
}

bool is_transcendental(FloatFunction function) {
  return function == FloatFunction::kTanh || function == FloatFunction::kSigmoid ||
         function == FloatFunction::kSilu || function == FloatFunction::kGelu ||
         function == FloatFunction::kElu || function == FloatFunction::kSoftplus;
}

const std::vector<FloatStep> kSteps = {
    {FloatFunction::kAdd, 0.3F, 0},
    {FloatFunction::kAdd, -1e-3F, 0},
    {FloatFunction::kMean, 9, 0},
    {FloatFunction::kMean, 49, 0},
    {FloatFunction::kScaleAdd, 1.7F, -0.4F},
    {FloatFunction::kScaleAdd, -0.013F, 2.5F},
    {FloatFunction::kScaleAdd, 0, 2.5F},
    {FloatFunction::kRelu, 0, 0},
    {FloatFunction::kRelu6, 0, 0},
    {FloatFunction::kLeakyRelu, 0.01F, 0},
    {FloatFunction::kLeakyRelu, -0.5F, 0},
    {FloatFunction::kHardSigmoid, 0, 0},
    {FloatFunction::kHardSwish, 0, 0},
    {FloatFunction::kTanh, 0, 0},
    {FloatFunction::kSigmoid, 0, 0},
    {FloatFunction::kSilu, 0, 0},
    {FloatFunction::kGelu, 0, 0},
    {FloatFunction::kElu, 1, 0},
    {FloatFunction::kElu, 0.7F, 0},
    {FloatFunction::kElu, -2, 0},
    {FloatFunction::kSoftplus, 1, 20},
    {FloatFunction::kSoftplus, 1.3F, 20},
    {FloatFunction::kSoftplus, 0.0001F, 17},
    {FloatFunction::kSoftplus, 2, 1},
    {FloatFunction::kSoftplus, 1, -5},
    {FloatFunction::kByteScale, 0, 0, 1.0 / 255.0},
    {FloatFunction::kByteScale, 0, 0, 0.0123},
};

// Rising: numbers of all magnitudes up to 2^40, and unbroken runs where functions bend or saturate.
std::vector<float> arguments() {
  std::vector<float> result;
  std::mt19937 random(7);
  for (int i = 0; i < 60000; ++i) {
    const float magnitude = std::ldexp(1.0F + std::ldexp(static_cast<float>(random() >> 9), -23),
                                       static_cast<int>(random() % 80) - 40);
    result.push_back(random() % 2 == 0 ? magnitude : -magnitude);
  }
  for (const float center : {0.5F, 1.0F, 2.0F, 3.0F, 4.0F, 5.4F, 6.0F, 8.9F, 9.01F, 15.384F, 16.6F,
                             17.0F, 17.33F, 20.0F, 88.0F, 88.7F, 103.9F, 170000.0F}) {
    float x = center;
    for (int i = 0; i < 1500; ++i) x = std::nextafter(x, 0.0F);
    for (int i = 0; i < 3000; ++i) {
      result.push_back(x);
      result.push_back(-x);
      x = std::nextafter(x, std::numeric_limits<float>::infinity());
    }
  }
  result.push_back(0.0F);
  std::ranges::sort(result);
  return result;
}

std::int64_t units_apart(float a, float b) {
  const auto place = [](float x) {
    const auto bits = std::bit_cast<std::int32_t>(x);
    return bits >= 0 ? std::int64_t{bits} : -(std::int64_t{bits} - INT32_MIN);
  };
  return std::abs(place(a) - place(b));
}

}  // namespace

TEST_CASE(
    "each float function is what docs/arithmetic.md says, in every bit where no library errs") {
  const std::vector<float> all = arguments();
  for (const FloatStep& step : kSteps) {
    CAPTURE(step.text());
    std::int64_t off = 0;
    for (const float x : all) {
      const float found = step.apply(x), expected = by_definition(step, x);
      if (found == expected) continue;
      CAPTURE(x);
      REQUIRE(is_transcendental(step.function));
      REQUIRE(units_apart(found, expected) <= 1);
      off += 1;
    }
    // A double of exp, log1p, erf or tanh lies within 2^-52 of the truth: of 2^28 numbers one is
    // rounded to the other side.
    CHECK(off <= 1);
  }
}

TEST_CASE("what a float function says of rising and falling holds for every neighbouring pair") {
  const std::vector<float> all = arguments();
  std::int64_t rising = 0;
  for (const FloatStep& step : kSteps) {
    CAPTURE(step.text());
    const Monotony said = step.monotony();
    bool rises = true, falls = true;
    for (std::size_t i = 1; i < all.size(); ++i) {
      rises = rises && step.apply(all[i - 1]) <= step.apply(all[i]);
      falls = falls && step.apply(all[i - 1]) >= step.apply(all[i]);
    }
    CHECK((rises || !said.never_decreases));
    CHECK((falls || !said.never_increases));
    rising += said.never_decreases ? 1 : 0;
  }
  CHECK(rising >= 15);
  CHECK(FloatStep{FloatFunction::kScaleAdd, -2, 1}.monotony() == Monotony{false, true});
  CHECK(FloatStep{FloatFunction::kGelu, 0, 0}.monotony() == Monotony{false, false});
  // Just above the threshold softplus is the argument, just below it is more.
  CHECK(FloatStep{FloatFunction::kSoftplus, 2, 1}.monotony() == Monotony{false, false});
}

TEST_CASE("the image of an interval holds every value in it") {
  std::vector<float> all = arguments();
  std::erase_if(all, [](float x) { return std::fabs(x) > 1e6F; });
  std::mt19937 random(3);
  for (const FloatStep& step : kSteps) {
    CAPTURE(step.text());
    for (int i = 0; i < 60; ++i) {
      std::size_t first = random() % all.size(), last = random() % all.size();
      if (first > last) std::swap(first, last);
      const FloatRange image = step.image({all[first], all[last]});
      for (std::size_t k = first; k <= last; k += 1 + (last - first) / 200) {
        const float y = step.apply(all[k]);
        REQUIRE(image.lo <= y);
        REQUIRE(y <= image.hi);
      }
      // Not much wider than needed: the ends lie within the values at both ends, zero and one.
      const float most = std::max({1.0F, std::fabs(step.apply(all[first])),
                                   std::fabs(step.apply(all[last])), std::fabs(step.a)});
      if (step.function != FloatFunction::kSoftplus) {
        REQUIRE(image.lo >= -most * 1.001F);
        REQUIRE(image.hi <= std::max(most, all[last]) * 1.001F);
      }
    }
  }
}

TEST_CASE("a chain applies its steps in order and combines what they say") {
  const FloatStep negate = {FloatFunction::kScaleAdd, -1, 0}, half = {FloatFunction::kAdd, 0.5F, 0},
                  relu = {FloatFunction::kRelu, 0, 0}, silu = {FloatFunction::kSilu, 0, 0},
                  nothing = {FloatFunction::kScaleAdd, 0, 3};
  CHECK(FloatChain{{half, negate}}.apply(2) == -2.5F);
  CHECK(FloatChain{{negate, half}}.apply(2) == -1.5F);
  CHECK(FloatChain{}.apply(2) == 2);
  CHECK(FloatChain{}.monotony() == Monotony{true, false});
  CHECK(FloatChain{{half, negate, relu}}.monotony() == Monotony{false, true});
  CHECK(FloatChain{{negate, negate}}.monotony() == Monotony{true, false});
  CHECK(FloatChain{{half, silu}}.monotony() == Monotony{false, false});
  CHECK(FloatChain{{silu, nothing}}.monotony() == Monotony{true, true});
  CHECK(FloatChain{{nothing, silu}}.monotony() == Monotony{true, true});
  CHECK(FloatChain{{negate, silu}}.keeps_zero());
  CHECK(!FloatChain{{negate, half}}.keeps_zero());
  CHECK(FloatChain{{half, negate}}.image({1, 2}) == FloatRange{-2.5F, -1.5F});
}

TEST_CASE("a code enters float32 by one rounding") {
  std::mt19937_64 random(5);
  for (int i = 0; i < 20000; ++i) {
    const auto code = static_cast<std::int64_t>(random()) >> (random() % 63);
    const int decimal = static_cast<int>(random() % 100) - 30;
    // 64 bits of significand hold the code, so this rounds once.
    const Wide exact = std::ldexp(Wide{static_cast<Wide>(code)}, -decimal);
    REQUIRE(enter_float(code, decimal) == static_cast<float>(exact));
  }
  CHECK(enter_float((std::int64_t{1} << 24) + 1, 0) == 16777216.0F);
  CHECK(enter_float((std::int64_t{1} << 24) + 3, 0) == 16777220.0F);
  CHECK(enter_float(1, 149) == std::numeric_limits<float>::denorm_min());
  CHECK(enter_float(-5, -3) == -40);
  CHECK(apply_to_code({{{FloatFunction::kAdd, 0.25F, 0}}}, 3, 1) == 1.75F);
}

TEST_CASE("real values travel as bits, with one zero") {
  for (const float x : {0.0F, 1.5F, -1.5F, 1e-40F, -3e38F})
    CHECK(real_from_bits(real_to_bits(x)) == x);
  CHECK(real_to_bits(-0.0F) == real_to_bits(0.0F));
  CHECK(real_to_bits(0.0F) == 0);
}
