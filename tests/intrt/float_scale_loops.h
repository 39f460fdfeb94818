// Float scales of the kernel variants. Nothing of the standard library, which other files would
// then share.
#pragma once

#include <stdint.h>

namespace lockstep::testing {

struct IntegerScale {
  int32_t multiplier;
  int64_t addend;
  int shift;
  uint32_t rounding;
  int lo, hi;
};

struct FloatForm {
  bool found;
  float multiplier, addend;
  int32_t exception, change;
  bool toward_zero;
  int lo, hi;  // clamp
  int sign, count;
  int64_t least[255];  // of sign * x: where the codes change
};

// Functions of one variant, which need a CPU that runs it.
struct FloatLoops {
  FloatForm (*form_of)(const IntegerScale& scale);
  // Without a form, and with a count of -1: codes rise and fall.
  FloatForm (*form_of_steps)(const int32_t* thresholds, uint32_t count, const int16_t* codes,
                             bool toward_zero);
  // Of 16 accumulators.
  void (*codes_of)(const FloatForm& form, const int32_t* x, int32_t* codes);
  // In how many of the 2^28 groups of 16 accumulators some code differs.
  int64_t (*differences)(const FloatForm& form, const IntegerScale& scale);
};
extern const FloatLoops kFloatLoops_avx512vnni, kFloatLoops_avx2;

}  // namespace lockstep::testing
