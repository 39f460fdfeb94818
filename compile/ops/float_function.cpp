#include "compile/ops/float_function.h"

#include <algorithm>
#include <cmath>

namespace lockstep::ops {
namespace {

// The elementary functions are taken in double and rounded once.
float rounded_exp(float x) { return static_cast<float>(std::exp(static_cast<double>(x))); }

// The file is compiled with -ffp-contract=off, and each statement below is one float32 operation.
float hard_gate(float x) {
  const float moved = x + 3.0F;
  return std::min(std::max(moved, 0.0F), 6.0F);
}

float logistic_divisor(float x) {
  const float e = rounded_exp(-x);
  return 1.0F + e;
}

float gelu(float x) {
  const float half = x * 0.5F;
  const float scaled = x * static_cast<float>(std::sqrt(0.5));
  const auto erf = static_cast<float>(std::erf(static_cast<double>(scaled)));
  const float gate = 1.0F + erf;
  return half * gate;
}

float elu(float x, float alpha) {
  if (x > 0.0F) return x;
  const float below = rounded_exp(x) - 1.0F;
  return below * alpha;
}

float softplus(float x, float beta, float threshold) {
  const float scaled = x * beta;
  if (scaled > threshold) return x;
  const float e = rounded_exp(scaled);
  const auto log = static_cast<float>(std::log1p(static_cast<double>(e)));
  return log / beta;
}

Direction direction(const FloatStep& step) {
  using Kind = FloatStep::Kind;
  switch (step.kind) {
    case Kind::kAdd:
    case Kind::kRelu:
    case Kind::kRelu6:
    case Kind::kHardSigmoid:
    case Kind::kTanh:
    case Kind::kSigmoid:
      return Direction::kNeverFalls;
    case Kind::kDivide:
    case Kind::kAffine:
      return step.a >= 0.0F ? Direction::kNeverFalls : Direction::kNeverRises;
    case Kind::kLeakyRelu:
    case Kind::kElu:
      return step.a >= 0.0F ? Direction::kNeverFalls : Direction::kNeither;
    case Kind::kHardSwish:
    case Kind::kSilu:
    case Kind::kGelu:
    case Kind::kSoftplus:  // its two branches meet only nearly
      break;
  }
  return Direction::kNeither;
}

}  // namespace

float FloatStep::operator()(float x) const {
  switch (kind) {
    case Kind::kAdd:
      return x + a;
    case Kind::kDivide:
      return x / a;
    case Kind::kAffine: {
      const float product = x * a;
      return product + b;
    }
    case Kind::kRelu:
      return std::max(x, 0.0F);
    case Kind::kRelu6:
      return std::min(std::max(x, 0.0F), 6.0F);
    case Kind::kLeakyRelu:
      return x > 0.0F ? x : x * a;
    case Kind::kHardSigmoid:
      return hard_gate(x) / 6.0F;
    case Kind::kHardSwish: {
      const float product = x * hard_gate(x);
      return product / 6.0F;
    }
    case Kind::kTanh:
      return static_cast<float>(std::tanh(static_cast<double>(x)));
    case Kind::kSigmoid:
      return 1.0F / logistic_divisor(x);
    case Kind::kSilu:
      return x / logistic_divisor(x);
    case Kind::kGelu:
      return gelu(x);
    case Kind::kElu:
      return elu(x, a);
    case Kind::kSoftplus:
      break;
  }
  return softplus(x, a, b);
}

float apply(const FloatChain& chain, float x) {
  for (const FloatStep& step : chain) x = step(x);
  return x;
}

Direction direction(const FloatChain& chain) {
  bool rises = true;
  for (const FloatStep& step : chain) {
    const Direction d = direction(step);
    if (d == Direction::kNeither) return Direction::kNeither;
    if (d == Direction::kNeverRises) rises = !rises;
  }
  return rises ? Direction::kNeverFalls : Direction::kNeverRises;
}

float enter(std::int64_t code, int decimal) {
  return static_cast<float>(std::ldexp(static_cast<double>(code), -decimal));
}

}  // namespace lockstep::ops
