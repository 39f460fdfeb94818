// Checks that several operators share: post records, accumulators, windows.
#include "intrt/check.h"

#include "intrt/arith.h"

namespace intrt {

namespace {

uint32_t magnitude(int32_t x) {
  return x < 0 ? 0u - static_cast<uint32_t>(x) : static_cast<uint32_t>(x);
}

// Below 2^47 for the at most 2^32 weights of a plan.
template <typename W>
uint64_t sum_of_magnitudes(const W* weights, uint64_t count) {
  uint64_t sum = 0;
  for (uint64_t i = 0; i < count; ++i) sum += magnitude(weights[i]);
  return sum;
}

intrt_status check_mask(const Checker& checker, uint32_t mask_offset,
                        const intrt_tensor_record& output) {
  if (mask_offset == 0) return INTRT_OK;
  const uint64_t count = element_count(output);
  const uint64_t bytes = (count + 7) / 8;
  if (!checker.holds(mask_offset, bytes, 1, 1)) return INTRT_ERROR_BOUNDS;
  const uint8_t last = object_at<uint8_t>(checker.plan(), mask_offset)[bytes - 1];
  const uint32_t used_bits = static_cast<uint32_t>(count % 8);
  return used_bits != 0 && last >> used_bits != 0 ? INTRT_ERROR_VALUE : INTRT_OK;
}

}  // namespace

intrt_status check_post(Checker& checker, const intrt_post_record& post,
                        const intrt_tensor_record& output) {
  if (post.reserved != 0) return INTRT_ERROR_VALUE;
  if (post.kind == INTRT_POST_NONE) {
    if (output.type != INTRT_INT32) return INTRT_ERROR_SHAPE;
    if (post.rounding != 0 || post.lo != 0 || post.hi != 0 || post.shifts_offset != 0 ||
        post.shift_count != 0)
      return INTRT_ERROR_VALUE;
    return check_mask(checker, post.mask_offset, output);
  }
  if (post.kind != INTRT_POST_SHIFT || post.rounding > INTRT_ROUND_HALF_EVEN || post.lo > post.hi ||
      post.lo < code_min(output.bits) || post.hi > code_max(output.bits))
    return INTRT_ERROR_VALUE;
  if (post.shift_count != 1 && post.shift_count != output.channels) return INTRT_ERROR_SHAPE;
  if (!checker.holds(post.shifts_offset, post.shift_count, 1, 1)) return INTRT_ERROR_BOUNDS;
  if (!checker.spend(post.shift_count)) return INTRT_ERROR_WORK;
  const int8_t* shifts = object_at<int8_t>(checker.plan(), post.shifts_offset);
  for (uint32_t i = 0; i < post.shift_count; ++i)
    if (shifts[i] < INTRT_SHIFT_MIN || shifts[i] > INTRT_SHIFT_MAX) return INTRT_ERROR_VALUE;
  return check_mask(checker, post.mask_offset, output);
}

intrt_status check_accumulators(Checker& checker, const AccumulatorSpec& spec,
                                const intrt_tensor_record& input, const intrt_post_record& post,
                                const intrt_tensor_record& output) {
  const intrt_plan& plan = checker.plan();
  if (spec.weight_type != INTRT_INT8 && spec.weight_type != INTRT_INT16) return INTRT_ERROR_VALUE;
  // A row longer than the plan cannot be inside; after this the product stays below 2^48.
  const uint32_t weight_bytes = element_bytes(spec.weight_type);
  if (spec.row_length > plan.size ||
      !checker.holds(spec.weights_offset, spec.rows * spec.row_length, weight_bytes,
                     INTRT_PLAN_ALIGNMENT))
    return INTRT_ERROR_BOUNDS;
  if (spec.bias_offset != 0 &&
      !checker.holds(spec.bias_offset, spec.rows, sizeof(int32_t), INTRT_PLAN_ALIGNMENT))
    return INTRT_ERROR_BOUNDS;
  if (!checker.spend(spec.rows * spec.row_length * weight_bytes) ||
      !checker.spend(spec.bias_offset != 0 ? spec.rows * sizeof(int32_t) : 0))
    return INTRT_ERROR_WORK;

  const uint64_t limit =
      static_cast<uint64_t>(code_max(post.kind == INTRT_POST_NONE ? output.bits : 32));
  const uint64_t input_magnitude = static_cast<uint64_t>(1) << (input.bits - 1);  // at most 2^15
  for (uint64_t row = 0; row < spec.rows; ++row) {
    const uint64_t begin = row * spec.row_length;
    const uint64_t sum =
        spec.weight_type == INTRT_INT8
            ? sum_of_magnitudes(object_at<int8_t>(plan, spec.weights_offset) + begin,
                                spec.row_length)
            : sum_of_magnitudes(object_at<int16_t>(plan, spec.weights_offset) + begin,
                                spec.row_length);
    const uint64_t bias =
        spec.bias_offset == 0 ? 0 : magnitude(object_at<int32_t>(plan, spec.bias_offset)[row]);
    if (sum * input_magnitude + bias > limit) return INTRT_ERROR_OVERFLOW;
  }
  return INTRT_OK;
}

intrt_status check_same_decimals(Checker& checker, const intrt_tensor_record& input,
                                 const intrt_tensor_record& output, uint32_t repeat) {
  const int8_t* in = object_at<int8_t>(checker.plan(), input.decimals_offset);
  const int8_t* out = object_at<int8_t>(checker.plan(), output.decimals_offset);
  if (input.decimal_count == 1 && output.decimal_count == 1)
    return in[0] == out[0] ? INTRT_OK : INTRT_ERROR_SHAPE;
  if (!checker.spend(output.channels)) return INTRT_ERROR_WORK;
  for (uint32_t channel = 0; channel < input.channels; ++channel)
    for (uint32_t i = 0; i < repeat; ++i)
      if (in[input.decimal_count == 1 ? 0 : channel] !=
          out[output.decimal_count == 1 ? 0 : channel * repeat + i])
        return INTRT_ERROR_SHAPE;
  return INTRT_OK;
}

bool WindowAxis::values_allowed() const {
  return kernel >= 1 && kernel <= INTRT_MAX_DIM && stride >= 1 && stride <= INTRT_MAX_DIM &&
         dilation >= 1 && dilation <= INTRT_MAX_DIM && pad_before <= INTRT_MAX_DIM &&
         pad_after <= INTRT_MAX_DIM;
}

}  // namespace intrt
