// The quantization loops against the definition Q(x) = clamp(round(x * 2^d), lo, hi) * 2^-d,
// evaluated one value at a time in double, where every step is exact.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "train/fake_quantize.h"

using lockstep::Rounding;
using lockstep::train::FakeQuantizer;

namespace {

double rounded(double x, Rounding rounding) {
  if (rounding == Rounding::kTowardZero) return std::trunc(x);
  if (rounding == Rounding::kFloor) return std::floor(x);
  return x - std::remainder(x, 1.0);  // to the nearest, ties to even
}

// Every quarter step around the codes of `bits` at `decimal`, beyond both ends.
std::vector<float> quarter_steps(int bits, int decimal) {
  std::vector<float> x;
  const int end = 4 * ((1 << (bits - 1)) + 3);
  for (int i = -end; i <= end; ++i) x.push_back(std::ldexp(static_cast<float>(i), -decimal - 2));
  return x;
}

}  // namespace

TEST_CASE("every quarter step is rounded and clamped as defined, in every rounding mode") {
  for (const Rounding rounding : {Rounding::kTowardZero, Rounding::kFloor, Rounding::kHalfEven}) {
    for (const int bits : {1, 2, 7, 8, 12, 16}) {
      for (const int decimal : {-9, -1, 0, 5, 19}) {
        CAPTURE(static_cast<int>(rounding));
        CAPTURE(bits);
        CAPTURE(decimal);
        const std::vector<float> x = quarter_steps(bits, decimal);
        std::vector<float> y(x.size());
        const auto d = static_cast<float>(decimal);
        const auto count = static_cast<std::int64_t>(x.size());
        REQUIRE(FakeQuantizer({&d, 1}, bits, rounding).forward(x.data(), y.data(), 0, count));
        const double hi = std::ldexp(1.0, bits - 1) - 1, lo = -hi - 1;
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
          const double code =
              std::clamp(rounded(std::ldexp(double{x[i]}, decimal), rounding), lo, hi);
          wrong += static_cast<double>(y[i]) != std::ldexp(code, -decimal) ||
                   std::signbit(y[i]) != (code < 0);
        }
        CHECK(wrong == 0);
      }
    }
  }
}

TEST_CASE("channels repeat with their inner size, also in a range that starts within a row") {
  const std::vector<float> decimals = {0, 1, 2};
  const FakeQuantizer q(decimals, 8, Rounding::kTowardZero, 4);
  const std::vector<float> x(24, 0.9f);
  std::vector<float> y(24, -1.0f);
  CHECK(q.forward(x.data(), y.data(), 3, 22));
  for (std::size_t i = 0; i < 24; ++i) {
    const float expected[] = {0.0f, 0.5f, 0.75f};
    CHECK(y[i] == (i < 3 || i >= 22 ? -1.0f : expected[i / 4 % 3]));
  }
}

TEST_CASE("a product outside int32, or NaN, becomes the lowest code and is reported") {
  const float d = 19;
  const FakeQuantizer q({&d, 1}, 8, Rounding::kTowardZero);
  const float lowest = std::ldexp(-128.0f, -19), highest = std::ldexp(127.0f, -19);
  const auto one = [&](float x) {
    float y = 0;
    const bool fits = q.forward(&x, &y, 0, 1);
    return std::pair(y, fits);
  };
  CHECK(one(4096.0f) == std::pair(lowest, false));
  CHECK(one(std::nextafter(4096.0f, 0.0f)) == std::pair(highest, true));
  CHECK(one(-4096.0f) == std::pair(lowest, true));
  CHECK(one(-4097.0f) == std::pair(lowest, false));
  CHECK(one(std::numeric_limits<float>::infinity()) == std::pair(lowest, false));
  CHECK(one(std::numeric_limits<float>::quiet_NaN()) == std::pair(lowest, false));
}

TEST_CASE("the gradient is clamped to the range and does not look at saturation") {
  const float d = 4;
  const FakeQuantizer q({&d, 1}, 8, Rounding::kTowardZero);
  const std::vector<float> gy = {-9.0f,   -8.0f, 0.1f,
                                 7.9375f, 8.0f,  std::numeric_limits<float>::infinity()};
  std::vector<float> gx(gy.size());
  q.backward(gy.data(), gx.data(), 0, static_cast<std::int64_t>(gy.size()));
  CHECK(gx == std::vector<float>{-8.0f, -8.0f, 0.1f, 7.9375f, 7.9375f, 7.9375f});
  float nan = std::numeric_limits<float>::quiet_NaN();
  q.backward(&nan, &nan, 0, 1);
  CHECK(std::isnan(nan));
}
