// The float functions of docs/arithmetic.md: float32 arithmetic, step by step, each operation
// rounded once to nearest even; exp, log1p, erf and tanh taken in double and rounded once. This
// restates the table there and shares no code with the compiler.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lockstep::verify {

enum class FloatFunction : std::uint8_t {
  kAdd,       // fl(x + a): a float bias
  kMean,      // fl(x / a): a positions
  kScaleAdd,  // fl(fl(x * a) + b): a batch norm
  kRelu,      // max(x, 0)
  kRelu6,
  kLeakyRelu,  // a: negative_slope
  kHardSigmoid,
  kHardSwish,
  kTanh,
  kSigmoid,
  kSilu,
  kGelu,
  kElu,        // a: alpha
  kSoftplus,   // a: beta, b: threshold
  kByteScale,  // fl(x * scale), the product taken in double: a raw byte
};

// Whether a function rises or falls, proved for the rounded float32 function and all finite
// arguments. Both: it is constant. Neither: nothing is known.
struct Monotony {
  bool never_decreases = true, never_increases = false;
  bool operator==(const Monotony&) const = default;
};

// The values a float32 function can have; both ends finite, lo <= hi.
struct FloatRange {
  float lo = 0, hi = 0;
  bool operator==(const FloatRange&) const = default;
};

struct FloatStep {
  FloatFunction function = FloatFunction::kRelu;
  float a = 0, b = 0;  // 0 where the function has none
  double scale = 0;    // of kByteScale, positive; else 0

  float apply(float x) const;  // any finite x
  Monotony monotony() const;
  // Holds every value of apply() on [x.lo, x.hi]. Ends may be infinite: the result may leave
  // float32.
  FloatRange image(FloatRange x) const;
  std::string text() const;  // "x + 0.25", "relu6"
  bool operator==(const FloatStep&) const = default;
};

// Float functions one after another. Empty: the identity.
struct FloatChain {
  std::vector<FloatStep> steps;

  float apply(float x) const;
  // Of the whole chain, from those of its steps.
  Monotony monotony() const;
  bool keeps_zero() const;               // apply(0) is 0
  FloatRange image(FloatRange x) const;  // see FloatStep
  bool operator==(const FloatChain&) const = default;
};

// fl(code * 2^-decimal): how an exact value enters float32. Exact but for the one rounding of a
// code of more than 24 bits; requires -64 <= decimal <= 149 (kLargestFloatDecimal).
constexpr int kSmallestFloatDecimal = -64, kLargestFloatDecimal = 149;
float enter_float(std::int64_t code, int decimal);

// What chain makes of codes: chain.apply(enter_float(code, decimal)).
float apply_to_code(const FloatChain& chain, std::int64_t code, int decimal);

// Real values travel in the same integers as codes: the bit pattern of the float32, -0.0 as 0.0.
std::int64_t real_to_bits(float value);
float real_from_bits(std::int64_t bits);

}  // namespace lockstep::verify
