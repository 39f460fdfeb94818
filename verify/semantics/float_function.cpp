#include "verify/semantics/float_function.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

#include "compile/support/error.h"

namespace lockstep::verify {
namespace {

// Each function of the double that a float32 is, rounded once. The C library's error of less than
// one unit of a double moves the float32 only where the true value lies within 2^-52 (relative) of
// the middle between two float32 numbers.
float rounded_exp(float x) { return static_cast<float>(std::exp(static_cast<double>(x))); }
float rounded_log1p(float x) { return static_cast<float>(std::log1p(static_cast<double>(x))); }
float rounded_erf(float x) { return static_cast<float>(std::erf(static_cast<double>(x))); }
float rounded_tanh(float x) { return static_cast<float>(std::tanh(static_cast<double>(x))); }

float relu(float x) { return x > 0 ? x : 0; }
float at_most_six(float x) { return x < 6 ? x : 6; }
float one_plus_exp_minus(float x) { return 1.0F + rounded_exp(-x); }

float softplus(float x, float beta, float threshold) {
  const float scaled = x * beta;
  if (scaled > threshold) return x;
  return rounded_log1p(rounded_exp(scaled)) / beta;
}

float gelu(float x) {
  const float half = x * 0.5F;
  const float erf = rounded_erf(x * static_cast<float>(std::numbers::sqrt2 / 2));
  return half * (1.0F + erf);
}

float hard_swish(float x) {
  const float clipped = at_most_six(relu(x + 3.0F));
  const float product = x * clipped;
  return product / 6.0F;
}

constexpr Monotony kRises = {true, false}, kUnknown = {false, false};
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// softplus jumps at the threshold t: from log1p(exp(t)) = t + exp(-t) down to t. From t = 16 on the
// jump is less than half a unit of t; above 88 exp leaves float32.
bool softplus_rises(float beta, float threshold) {
  return beta > 0 && threshold >= 16 && threshold <= 88;
}

}  // namespace

float FloatStep::apply(float x) const {
  switch (function) {
    case FloatFunction::kAdd:
      return x + a;
    case FloatFunction::kMean:
      return x / a;
    case FloatFunction::kScaleAdd: {
      const float product = x * a;
      return product + b;
    }
    case FloatFunction::kRelu:
      return relu(x);
    case FloatFunction::kRelu6:
      return at_most_six(relu(x));
    case FloatFunction::kLeakyRelu:
      return x > 0 ? x : x * a;
    case FloatFunction::kHardSigmoid:
      return at_most_six(relu(x + 3.0F)) / 6.0F;
    case FloatFunction::kHardSwish:
      return hard_swish(x);
    case FloatFunction::kTanh:
      return rounded_tanh(x);
    case FloatFunction::kSigmoid:
      return 1.0F / one_plus_exp_minus(x);
    case FloatFunction::kSilu:
      return x / one_plus_exp_minus(x);
    case FloatFunction::kGelu:
      return gelu(x);
    case FloatFunction::kElu: {
      if (x > 0) return x;
      const float below = rounded_exp(x) - 1.0F;
      return below * a;
    }
    case FloatFunction::kSoftplus:
      return softplus(x, a, b);
    case FloatFunction::kByteScale:
      return static_cast<float>(static_cast<double>(x) * scale);
  }
  LOCKSTEP_ASSERT(false);
}

Monotony FloatStep::monotony() const {
  switch (function) {
    case FloatFunction::kAdd:
    case FloatFunction::kRelu:
    case FloatFunction::kRelu6:
    case FloatFunction::kHardSigmoid:
    case FloatFunction::kTanh:
    case FloatFunction::kSigmoid:
    case FloatFunction::kByteScale:
      return kRises;
    case FloatFunction::kMean:
      return {a > 0, a < 0};
    case FloatFunction::kScaleAdd:
      return {a >= 0, a <= 0};
    case FloatFunction::kLeakyRelu:
    case FloatFunction::kElu:
      return a >= 0 ? kRises : kUnknown;
    case FloatFunction::kSoftplus:
      return softplus_rises(a, b) ? kRises : kUnknown;
    case FloatFunction::kHardSwish:
    case FloatFunction::kSilu:
    case FloatFunction::kGelu:
      return kUnknown;
  }
  LOCKSTEP_ASSERT(false);
}

FloatRange FloatStep::image(FloatRange x) const {
  const float first = apply(x.lo), last = apply(x.hi);
  if (x.lo == x.hi) return {first, last};
  const Monotony known = monotony();
  if (known.never_decreases) return {first, last};
  if (known.never_increases) return {last, first};
  // Between 0 and x for x > 0, but for one rounding; below 0 not under its minimum.
  const auto dips_to = [&](float minimum) -> FloatRange {
    return {x.lo >= 0 ? 0.0F : minimum, x.hi > 0 ? std::nextafter(x.hi, kInfinity) : 0.0F};
  };
  switch (function) {
    case FloatFunction::kHardSwish:  // at least -0.375
      if (x.hi <= -3) return {0.0F, 0.0F};
      // x * 6 may leave float32 where x does not.
      return std::isfinite(last) ? dips_to(-0.376F) : FloatRange{-kInfinity, kInfinity};
    case FloatFunction::kSilu:  // at least -0.2785
      return dips_to(-0.279F);
    case FloatFunction::kGelu:  // at least -0.1700
      return dips_to(-0.171F);
    case FloatFunction::kLeakyRelu:
    case FloatFunction::kElu:
      // Falls up to 0 and rises from there.
      if (x.hi <= 0) return {last, first};
      if (x.lo >= 0) return {first, last};
      return {0.0F, std::max(first, last)};
    case FloatFunction::kSoftplus: {
      // log1p(exp(t)) <= max(t, 0) + log(2), t = x * beta at most the threshold.
      if (!(a > 0) || (b > 88 && static_cast<double>(x.hi) * a > 88))
        return {-kInfinity, kInfinity};
      const double most = (std::max<double>(x.hi, 0) + 0.7 / a) * 1.0001;
      return {std::min(x.lo, 0.0F), static_cast<float>(most)};
    }
    default:
      LOCKSTEP_ASSERT(false);
  }
}

std::string FloatStep::text() const {
  switch (function) {
    case FloatFunction::kAdd:
      return fmt::format("x + {:.9g}", a);
    case FloatFunction::kMean:
      return fmt::format("x / {:.9g}", a);
    case FloatFunction::kScaleAdd:
      return fmt::format("x * {:.9g} + {:.9g}", a, b);
    case FloatFunction::kRelu:
      return "relu";
    case FloatFunction::kRelu6:
      return "relu6";
    case FloatFunction::kLeakyRelu:
      return fmt::format("leaky_relu({:.9g})", a);
    case FloatFunction::kHardSigmoid:
      return "hard_sigmoid";
    case FloatFunction::kHardSwish:
      return "hard_swish";
    case FloatFunction::kTanh:
      return "tanh";
    case FloatFunction::kSigmoid:
      return "sigmoid";
    case FloatFunction::kSilu:
      return "silu";
    case FloatFunction::kGelu:
      return "gelu";
    case FloatFunction::kElu:
      return fmt::format("elu({:.9g})", a);
    case FloatFunction::kSoftplus:
      return fmt::format("softplus({:.9g}, {:.9g})", a, b);
    case FloatFunction::kByteScale:
      return fmt::format("byte * {:.17g}", scale);
  }
  LOCKSTEP_ASSERT(false);
}

float FloatChain::apply(float x) const {
  for (const FloatStep& step : steps) x = step.apply(x);
  return x;
}

Monotony FloatChain::monotony() const {
  Monotony all = kRises;
  for (const FloatStep& step : steps) {
    const Monotony next = step.monotony();
    const bool is_constant = (all.never_decreases && all.never_increases) ||
                             (next.never_decreases && next.never_increases);
    all = {is_constant || (all.never_decreases && next.never_decreases) ||
               (all.never_increases && next.never_increases),
           is_constant || (all.never_decreases && next.never_increases) ||
               (all.never_increases && next.never_decreases)};
  }
  return all;
}

bool FloatChain::keeps_zero() const { return apply(0) == 0; }

FloatRange FloatChain::image(FloatRange x) const {
  for (const FloatStep& step : steps) x = step.image(x);
  return x;
}

float enter_float(std::int64_t code, int decimal) {
  // The conversion rounds once. Then the number is a multiple of 2^-decimal with at most 24
  // significant bits, so the product is exact, also where it is subnormal.
  return std::ldexp(static_cast<float>(code), -decimal);
}

float apply_to_code(const FloatChain& chain, std::int64_t code, int decimal) {
  return chain.apply(enter_float(code, decimal));
}

std::int64_t real_to_bits(float value) {
  return std::bit_cast<std::uint32_t>(value == 0 ? 0.0F : value);
}

float real_from_bits(std::int64_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
}

}  // namespace lockstep::verify
