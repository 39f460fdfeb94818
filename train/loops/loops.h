// The inner loops of quantization and pruning on contiguous float32 data, compiled once for each
// instruction set from loops.inl. All give the same bits: every element is computed by itself, and
// where numbers are summed, the order is part of the definition. No LibTorch here.
//
//   Q(x) = clamp(round(x * 2^d), code_lo, code_hi) * 2^-d
//
// x * 2^d is one float32 product. A product outside int32 (or NaN) becomes the lowest code, as the
// x86 conversion that QSPARSE relies on does.
#pragma once

#include <cstdint>
#include <span>

#include "compile/graph/graph.h"

namespace lockstep::train {

// The formats of consecutive elements, one for each, or only the first one for all.
struct ElementFormats {
  const float *scale, *inverse;      // 2^d, 2^-d
  const float *value_lo, *value_hi;  // lowest and highest value of Q
  bool one_for_all;
};

struct CodeLimits {
  float lo, hi;  // integers; a lo of 0 makes relu(Q(x)) of Q(x)
  // A smaller x counts as this; 0 makes Q(relu(x)) of Q(x).
  float input_lo = -__builtin_inff();
};

struct Loops {
  const char* instruction_set;  // "baseline", "avx2", "avx512"

  // y[i] = Q(x[i] * keep[i]); keep[i] is 0 or 1; without `keep` (null) Q(x[i]). True when every
  // product fits int32; the results are defined all the same. y may be x.
  bool (*quantize)(Rounding rounding, const ElementFormats& formats, CodeLimits limits,
                   const float* x, const std::uint8_t* keep, float* y, std::int64_t count);

  // Straight through: gx[i] = clamp(gy[i], value_lo, value_hi) * keep[i]; 0 where gate[i] <= 0, the
  // gate being what a relu before Q reads or one behind it writes. `keep` and `gate` may be null.
  // NaN stays NaN.
  void (*quantize_gradient)(const ElementFormats& formats, const float* gy, const float* gate,
                            const std::uint8_t* keep, float* gx, std::int64_t count);

  // y[i] = x[i] * keep[i]: -0 for masked negative numbers, NaN for masked NaN and infinity.
  void (*mask)(const float* x, const std::uint8_t* keep, float* y, std::int64_t count);

  // The largest |x[i]|; NaN when one is NaN; 0 for no elements.
  float (*largest_magnitude)(const float* x, std::int64_t count);

  // For each of `candidates` formats (scale and inverse), sums[k] += sum over i of
  // (x[i] - Q_k(x[i]))^2, and saturated[k] += the part of it where the product exceeds the limits.
  // Terms are float32; each 512 of them are summed in 16 float32 lanes, term i to lane i % 16, and
  // the lanes are added to the doubles in order.
  void (*add_squared_errors)(Rounding rounding, const ElementFormats& formats, int candidates,
                             CodeLimits limits, const float* x, std::int64_t count, double* sums,
                             double* saturated);
};

// The fastest that this CPU runs.
const Loops& loops();
// All that this CPU runs, the baseline first.
std::span<const Loops* const> runnable_loops();

// One per instruction set; the wider ones exist on x86-64 only.
extern const Loops kBaselineLoops, kAvx2Loops, kAvx512Loops;

}  // namespace lockstep::train
