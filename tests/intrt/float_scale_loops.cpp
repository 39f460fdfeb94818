#include "tests/intrt/float_scale_loops.h"

#include "intrt/kernels/avx512vnni/float_scale.h"

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

__m512i codes_of(const FloatForm& form, __m512i x) {
  const __m512 multiplier = _mm512_set1_ps(form.multiplier), addend = _mm512_set1_ps(form.addend);
  __m512i code = form.toward_zero ? intrt::scaled_by_floats<true>(x, multiplier, addend)
                                  : intrt::scaled_by_floats<false>(x, multiplier, addend);
  code = _mm512_mask_add_epi32(code, _mm512_cmpeq_epi32_mask(x, _mm512_set1_epi32(form.exception)),
                               code, _mm512_set1_epi32(form.change));
  return _mm512_min_epi32(_mm512_max_epi32(code, _mm512_set1_epi32(form.lo)),
                          _mm512_set1_epi32(form.hi));
}

}  // namespace

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

void float_codes(const FloatForm& form, const int32_t* x, int32_t* codes) {
  _mm512_storeu_si512(codes, codes_of(form, _mm512_loadu_si512(x)));
}

int64_t differences(const FloatForm& form, const IntegerScale& scale) {
  alignas(64) int32_t x[16], expected[16];
  int64_t count = 0;
  for (int64_t first = INT32_MIN; first <= INT32_MAX; first += 16) {
    for (int i = 0; i < 16; ++i) x[i] = static_cast<int32_t>(first + i);
    for (int i = 0; i < 16; ++i)
      expected[i] = intrt_scale(x[i], scale.multiplier, scale.addend, scale.shift, scale.rounding,
                                scale.lo, scale.hi);
    const __m512i found = codes_of(form, _mm512_load_si512(x));
    if (_mm512_cmpneq_epi32_mask(found, _mm512_load_si512(expected)) != 0) ++count;
  }
  return count;
}

}  // namespace lockstep::testing
