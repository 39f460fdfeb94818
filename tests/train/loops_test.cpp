// The loops of each instruction set against the definition in train/loops/loops.h, evaluated here
// one element at a time, and against each other.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "train/loops/loops.h"

using lockstep::Rounding;
using lockstep::train::CodeLimits;
using lockstep::train::ElementFormats;
using lockstep::train::Loops;
using lockstep::train::runnable_loops;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr Rounding kRoundings[] = {Rounding::kTowardZero, Rounding::kFloor, Rounding::kHalfEven};

// Values of many magnitudes, ties, and everything that is special.
std::vector<float> values(std::size_t count, unsigned seed) {
  const float special[] = {0.0f,       -0.0f,      0.5f,    -0.5f,     1.5f,     -2.5f,
                           kInfinity,  -kInfinity, NAN,     0x1p31f,   -0x1p31f, 2147483520.0f,
                           -0x1.8p31f, 1e-42f,     -1e-42f, 0x1p-149f, 3e38f,    -3e38f};
  std::mt19937 random(seed);
  std::vector<float> found;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t bits = static_cast<std::uint32_t>(random());
    if (bits % 8 == 0) {
      found.push_back(special[bits / 8 % std::size(special)]);
    } else {
      const float whole = static_cast<float>(static_cast<int>(bits % 2001) - 1000);
      found.push_back(std::ldexp(whole, static_cast<int>(bits / 4096 % 12) - 8));
    }
  }
  return found;
}

std::vector<std::uint8_t> mask_for(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint8_t> keep(count);
  for (std::uint8_t& k : keep) k = random() % 2 == 0;
  return keep;
}

struct Formats {
  explicit Formats(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const int decimal = static_cast<int>(i * 7 % 23) - 4;
      scale.push_back(std::ldexp(1.0f, decimal));
      inverse.push_back(std::ldexp(1.0f, -decimal));
      lo.push_back(std::ldexp(-128.0f, -decimal));
      hi.push_back(std::ldexp(127.0f, -decimal));
    }
  }
  ElementFormats view(bool one_for_all) const {
    return {scale.data(), inverse.data(), lo.data(), hi.data(), one_for_all};
  }
  std::vector<float> scale, inverse, lo, hi;
};

double rounded(double x, Rounding rounding) {
  if (rounding == Rounding::kTowardZero) return std::trunc(x);
  if (rounding == Rounding::kFloor) return std::floor(x);
  return x - std::remainder(x, 1.0);  // to the nearest, ties to even
}

// Q by its definition; `fits` is cleared where the product leaves int32.
float quantized(float x, float scale, float inverse, Rounding rounding, CodeLimits limits,
                bool& fits) {
  const float product = x * scale;
  const bool inside = product >= -0x1p31f && product < 0x1p31f;
  fits &= inside;
  if (!(product < 0x1p31f) || product < limits.lo) return limits.lo * inverse;
  const double code = rounded(static_cast<double>(product), rounding);
  return static_cast<float>(code > limits.hi ? double{limits.hi} : code + 0.0) * inverse;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// NaN has many bit patterns, and which one a product has is the CPU's choice.
void canonicalize_nans(std::vector<float>& numbers) {
  for (float& v : numbers)
    if (std::isnan(v)) v = NAN;
}

}  // namespace

TEST_CASE("every instruction set that this CPU has is tested") {
  std::string names;
  for (const Loops* const loops : runnable_loops())
    names += std::string(" ") + loops->instruction_set;
  std::printf("loops tested:%s\n", names.c_str());
  CHECK(std::string(runnable_loops()[0]->instruction_set) == "baseline");
#if defined(__x86_64__)
  CHECK((names.find("avx2") != std::string::npos) == (__builtin_cpu_supports("avx2") != 0));
#endif
}

TEST_CASE("quantize computes Q of the masked value, and says whether all products fit int32") {
  for (const Loops* const loops : runnable_loops())
    for (const Rounding rounding : kRoundings)
      for (const std::size_t count : {0, 1, 15, 16, 17, 64, 777})
        for (const bool one_for_all : {true, false})
          for (const bool masked : {true, false})
            for (const CodeLimits limits : {CodeLimits{-128.0f, 127.0f}, CodeLimits{0.0f, 127.0f},
                                            CodeLimits{-128.0f, 127.0f, 0.0f}})
              for (const bool tame : {true, false}) {
                CAPTURE(loops->instruction_set);
                CAPTURE(static_cast<int>(rounding));
                CAPTURE(count);
                CAPTURE(one_for_all);
                CAPTURE(masked);
                std::vector<float> x = values(count, 1);
                if (tame)
                  for (float& v : x) v = std::abs(v) < 1000 ? v : 3.0f;
                const std::vector<std::uint8_t> keep = mask_for(count, 2);
                const Formats formats(std::max<std::size_t>(count, 1));
                std::vector<float> y(count), expected;
                const bool fits = loops->quantize(rounding, formats.view(one_for_all), limits,
                                                  x.data(), masked ? keep.data() : nullptr,
                                                  y.data(), static_cast<std::int64_t>(count));
                bool all_fit = true;
                for (std::size_t i = 0; i < count; ++i) {
                  const std::size_t f = one_for_all ? 0 : i;
                  const float from = x[i] < limits.input_lo ? limits.input_lo : x[i];
                  expected.push_back(quantized(masked ? from * static_cast<float>(keep[i]) : from,
                                               formats.scale[f], formats.inverse[f], rounding,
                                               limits, all_fit));
                }
                CHECK(same_bits(y, expected));
                CHECK(fits == all_fit);
              }
}

TEST_CASE("the gradient is clamped, zero where relu is, and masked") {
  for (const Loops* const loops : runnable_loops())
    for (const std::size_t count : {0, 1, 15, 16, 17, 777})
      for (const bool one_for_all : {true, false})
        for (const bool masked : {true, false})
          for (const bool relu : {true, false}) {
            CAPTURE(loops->instruction_set);
            CAPTURE(count);
            CAPTURE(one_for_all);
            CAPTURE(masked);
            CAPTURE(relu);
            const std::vector<float> gy = values(count, 3), y = values(count, 4);
            const std::vector<std::uint8_t> keep = mask_for(count, 5);
            const Formats formats(std::max<std::size_t>(count, 1));
            std::vector<float> gx(count), expected;
            loops->quantize_gradient(formats.view(one_for_all), gy.data(),
                                     relu ? y.data() : nullptr, masked ? keep.data() : nullptr,
                                     gx.data(), static_cast<std::int64_t>(count));
            for (std::size_t i = 0; i < count; ++i) {
              const std::size_t f = one_for_all ? 0 : i;
              float g = relu && y[i] <= 0 ? 0.0f : gy[i];
              if (!std::isnan(g)) g = std::min(std::max(g, formats.lo[f]), formats.hi[f]);
              expected.push_back(masked ? g * static_cast<float>(keep[i]) : g);
            }
            canonicalize_nans(gx);
            canonicalize_nans(expected);
            CHECK(same_bits(gx, expected));
          }
}

TEST_CASE("mask multiplies") {
  for (const Loops* const loops : runnable_loops())
    for (const std::size_t count : {0, 1, 17, 777}) {
      CAPTURE(loops->instruction_set);
      const std::vector<float> x = values(count, 6);
      const std::vector<std::uint8_t> keep = mask_for(count, 7);
      std::vector<float> y(count), expected;
      loops->mask(x.data(), keep.data(), y.data(), static_cast<std::int64_t>(count));
      for (std::size_t i = 0; i < count; ++i)
        expected.push_back(x[i] * static_cast<float>(keep[i]));
      canonicalize_nans(y);
      canonicalize_nans(expected);
      CHECK(same_bits(y, expected));
    }
}

TEST_CASE("largest_magnitude finds the largest, in every position, and NaN") {
  for (const Loops* const loops : runnable_loops())
    for (const std::size_t count : {0, 1, 16, 37}) {
      CAPTURE(loops->instruction_set);
      std::vector<float> x(count, -0.25f);
      const auto n = static_cast<std::int64_t>(count);
      CHECK(loops->largest_magnitude(x.data(), n) == (count == 0 ? 0.0f : 0.25f));
      for (std::size_t i = 0; i < count; ++i) {
        x[i] = -7.5f;
        CHECK(loops->largest_magnitude(x.data(), n) == 7.5f);
        x[i] = NAN;
        CHECK(std::isnan(loops->largest_magnitude(x.data(), n)));
        x[i] = 0.25f;
      }
    }
}

TEST_CASE("squared errors are summed in the documented order, alike on every instruction set") {
  constexpr int kCandidates = 9;
  for (const Loops* const loops : runnable_loops())
    for (const Rounding rounding : kRoundings)
      for (const std::size_t count : {0, 1, 16, 511, 512, 513, 1700}) {
        CAPTURE(loops->instruction_set);
        CAPTURE(static_cast<int>(rounding));
        CAPTURE(count);
        std::vector<float> x = values(count, 8);
        for (float& v : x) v = std::abs(v) < 1e6f ? v : 5.25f;
        const Formats formats(kCandidates);
        const CodeLimits limits = {-128.0f, 127.0f};
        std::vector<double> sums(kCandidates, 1.0), saturated(kCandidates, 2.0);
        std::vector<double> expected_sums = sums, expected_saturated = saturated;
        loops->add_squared_errors(rounding, formats.view(false), kCandidates, limits, x.data(),
                                  static_cast<std::int64_t>(count), sums.data(), saturated.data());
        bool fits = true;
        for (std::size_t k = 0; k < kCandidates; ++k)
          for (std::size_t begin = 0; begin < count; begin += 512) {
            float all[16] = {}, beyond[16] = {};
            for (std::size_t i = begin; i < std::min(begin + 512, count); ++i) {
              const float error = x[i] - quantized(x[i], formats.scale[k], formats.inverse[k],
                                                   rounding, limits, fits);
              const float product = x[i] * formats.scale[k];
              all[i % 16] += error * error;
              if (product < limits.lo || product > limits.hi) beyond[i % 16] += error * error;
            }
            for (const float lane : all) expected_sums[k] += static_cast<double>(lane);
            for (const float lane : beyond) expected_saturated[k] += static_cast<double>(lane);
          }
        CHECK(sums == expected_sums);
        CHECK(saturated == expected_saturated);
      }
}
