// Float scales behind functions that any CPU's code may call: FLOAT_LOOPS names them. A file for
// one set of instructions includes these and then the variant's codes_by_floats before.
#include "tests/intrt/float_scale_loops.h"

namespace lockstep::testing {
namespace {

FloatForm form_of(const intrt::ChannelSteps& steps, bool toward_zero) {
  FloatForm form = {};
  intrt::FloatScale scale = {};
  form.found = toward_zero ? intrt::find_float_scale<true>(steps, scale)
                           : intrt::find_float_scale<false>(steps, scale);
  form.multiplier = scale.multiplier;
  form.addend = scale.addend;
  form.exception = scale.exception;
  form.change = scale.change;
  form.toward_zero = toward_zero;
  form.lo = steps.lo;
  form.hi = steps.lo + steps.count;
  form.sign = steps.sign;
  form.count = steps.count;
  for (int i = 0; i < steps.count; ++i) form.least[i] = steps.least[i];
  return form;
}

// Of 16 accumulators.
void float_codes(const FloatForm& form, const int32_t* x, int32_t* codes) {
  int32_t numbers[16], found[16];
  for (int i = 0; i < 16; ++i) numbers[i] = x[i];
  if (form.toward_zero)
    intrt::codes_by_floats<true>(numbers, form.multiplier, form.addend, found);
  else
    intrt::codes_by_floats<false>(numbers, form.multiplier, form.addend, found);
  for (int i = 0; i < 16; ++i) {
    const int32_t code = found[i] + (numbers[i] == form.exception ? form.change : 0);
    codes[i] = code < form.lo ? form.lo : code > form.hi ? form.hi : code;
  }
}

FloatForm float_form_of(const IntegerScale& scale) {
  const bool toward_zero = scale.rounding == INTRT_ROUND_TOWARD_ZERO && scale.lo < 0;
  intrt::ChannelSteps steps;
  if (!steps.of_scale(scale.multiplier, scale.addend, scale.shift, toward_zero, scale.lo, scale.hi))
    return {};
  return form_of(steps, toward_zero);
}

FloatForm float_form_of_steps(const int32_t* thresholds, uint32_t count, const int16_t* codes,
                              bool toward_zero) {
  intrt::ChannelSteps steps;
  if (steps.of_thresholds(thresholds, count, codes)) return form_of(steps, toward_zero);
  FloatForm none = {};
  none.count = -1;
  return none;
}

int64_t differences(const FloatForm& form, const IntegerScale& scale) {
  int32_t x[16], expected[16], found[16];
  int64_t count = 0;
  for (int64_t first = INT32_MIN; first <= INT32_MAX; first += 16) {
    for (int i = 0; i < 16; ++i) x[i] = static_cast<int32_t>(first + i);
    for (int i = 0; i < 16; ++i)
      expected[i] = intrt_scale(x[i], scale.multiplier, scale.addend, scale.shift, scale.rounding,
                                scale.lo, scale.hi);
    float_codes(form, x, found);
    int32_t difference = 0;
    for (int i = 0; i < 16; ++i) difference |= found[i] ^ expected[i];
    if (difference != 0) ++count;
  }
  return count;
}

}  // namespace

const FloatLoops FLOAT_LOOPS = {float_form_of, float_form_of_steps, float_codes, differences};

}  // namespace lockstep::testing
