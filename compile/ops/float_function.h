// Float functions: what layers off the power-of-two grids compute, operation by operation in
// float32 (docs/arithmetic.md, "Float functions"). A chain of them, from an exact sum to the value
// that a quantize node sees, is one function of an integer; synthesize.h turns it into a post-op.
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

namespace lockstep::ops {

struct FloatStep {
  enum class Kind : std::uint8_t {
    kAdd,     // fl(x + a)
    kDivide,  // fl(x / a)
    kAffine,  // fl(fl(x * a) + b)
    kRelu,
    kRelu6,
    kLeakyRelu,  // a: negative_slope
    kHardSigmoid,
    kHardSwish,
    kTanh,
    kSigmoid,
    kSilu,
    kGelu,
    kElu,      // a: alpha
    kSoftplus  // a: beta, b: threshold
  };
  Kind kind = Kind::kRelu;
  float a = 0, b = 0;

  float operator()(float x) const;
  bool operator==(const FloatStep&) const = default;
  auto operator<=>(const FloatStep&) const = default;
};

enum class Direction : std::uint8_t { kNeverFalls, kNeverRises, kNeither };

using FloatChain = std::vector<FloatStep>;  // first to last

float apply(const FloatChain& chain, float x);

// Holds for the float32 function itself: each operation rounds monotonically.
Direction direction(const FloatChain& chain);

// The code times 2^-decimal, rounded to float32 once: what enters a chain. |code| < 2^31.
float enter(std::int64_t code, int decimal);

}  // namespace lockstep::ops
