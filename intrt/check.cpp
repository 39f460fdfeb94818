// Checks that several operators share: post records, accumulators, windows.
#include "intrt/check.h"

#include "intrt/arith.h"

namespace intrt {

namespace {

bool is_code(int32_t x, const intrt_tensor_record& tensor) {
  return x >= code_min(tensor.bits) && x <= code_max(tensor.bits);
}

intrt_status check_shift(Checker& checker, const intrt_post_record& post,
                         const intrt_tensor_record& output, Width width) {
  if (post.rounding > INTRT_ROUND_HALF_EVEN || post.lo > post.hi || !is_code(post.lo, output) ||
      !is_code(post.hi, output))
    return INTRT_ERROR_VALUE;
  if (post.shift_count != 1 && post.shift_count != output.channels) return INTRT_ERROR_SHAPE;
  if (!checker.holds(post.shifts_offset, post.shift_count, 1, 1)) return INTRT_ERROR_BOUNDS;
  if (!checker.spend(post.shift_count)) return INTRT_ERROR_WORK;
  const int8_t* shifts = object_at<int8_t>(checker.plan(), post.shifts_offset);
  const bool wide = width == Width::kWide;
  const int8_t lowest = wide ? 0 : INTRT_SHIFT_MIN;
  const int8_t highest = wide ? INTRT_WIDE_SHIFT_MAX : INTRT_SHIFT_MAX;
  for (uint32_t i = 0; i < post.shift_count; ++i)
    if (shifts[i] < lowest || shifts[i] > highest) return INTRT_ERROR_VALUE;
  return INTRT_OK;
}

// The thresholds and codes of the channels that have steps.
intrt_status check_steps(Checker& checker, const intrt_post_record& post,
                         const intrt_tensor_record& output) {
  if (post.starts_offset == 0)
    return post.thresholds_offset == 0 && post.codes_offset == 0 ? INTRT_OK : INTRT_ERROR_VALUE;
  const intrt_plan& plan = checker.plan();
  const uint64_t channels = output.channels;
  if (!checker.holds(post.starts_offset, channels + 1, 4, 4)) return INTRT_ERROR_BOUNDS;
  if (!checker.spend((channels + 1) * 4)) return INTRT_ERROR_WORK;
  const uint32_t* starts = object_at<uint32_t>(plan, post.starts_offset);
  if (starts[0] != 0) return INTRT_ERROR_VALUE;
  for (uint32_t c = 0; c < channels; ++c)
    if (starts[c] > starts[c + 1]) return INTRT_ERROR_VALUE;

  const uint64_t threshold_count = starts[channels], code_count = threshold_count + channels;
  if (!checker.holds(post.thresholds_offset, threshold_count, 4, 4) ||
      !checker.holds(post.codes_offset, code_count, 2, 2))
    return INTRT_ERROR_BOUNDS;
  if (!checker.spend(threshold_count * 4 + code_count * 2)) return INTRT_ERROR_WORK;
  const int32_t* thresholds = object_at<int32_t>(plan, post.thresholds_offset);
  for (uint32_t c = 0; c < channels; ++c)
    for (uint32_t i = starts[c]; i + 1 < starts[c + 1]; ++i)
      if (thresholds[i] >= thresholds[i + 1]) return INTRT_ERROR_VALUE;
  const int16_t* codes = object_at<int16_t>(plan, post.codes_offset);
  for (uint64_t i = 0; i < code_count; ++i)
    if (!is_code(codes[i], output)) return INTRT_ERROR_VALUE;
  return INTRT_OK;
}

intrt_status check_scale(Checker& checker, const intrt_post_record& post,
                         const intrt_tensor_record& output) {
  if ((post.rounding != INTRT_ROUND_TOWARD_ZERO && post.rounding != INTRT_ROUND_FLOOR) ||
      post.lo != 0 || post.hi != 0)
    return INTRT_ERROR_VALUE;
  const uint32_t channels = output.channels;
  if (post.shift_count != channels) return INTRT_ERROR_SHAPE;
  if (!checker.holds(post.shifts_offset, channels, 1, 1) ||
      !checker.holds(post.multipliers_offset, channels, 4, 4) ||
      !checker.holds(post.addends_offset, channels, 8, 8) ||
      !checker.holds(post.limits_offset, channels, 4, 2))
    return INTRT_ERROR_BOUNDS;
  // Any multiplier will do, so they are not read.
  if (!checker.spend(static_cast<uint64_t>(channels) * (1 + 8 + 4))) return INTRT_ERROR_WORK;
  const intrt_plan& plan = checker.plan();
  const int8_t* shifts = object_at<int8_t>(plan, post.shifts_offset);
  const int64_t* addends = object_at<int64_t>(plan, post.addends_offset);
  const int16_t* limits = object_at<int16_t>(plan, post.limits_offset);
  constexpr int64_t kAddendEnd = static_cast<int64_t>(1) << 62;
  for (uint32_t c = 0; c < channels; ++c) {
    const int32_t lo = limits[2 * c], hi = limits[2 * c + 1];
    if (shifts[c] < 0 || shifts[c] > INTRT_WIDE_SHIFT_MAX || addends[c] <= -kAddendEnd ||
        addends[c] >= kAddendEnd || lo > hi || !is_code(lo, output) || !is_code(hi, output))
      return INTRT_ERROR_VALUE;
  }
  return check_steps(checker, post, output);
}

bool has_scale_fields(const intrt_post_record& post) {
  return (post.multipliers_offset | post.addends_offset | post.limits_offset | post.starts_offset |
          post.thresholds_offset | post.codes_offset) != 0;
}

intrt_status check_function(Checker& checker, const intrt_post_record& post,
                            const intrt_tensor_record& output, Width width) {
  if (width == Width::kWide && post.kind != INTRT_POST_SHIFT) return INTRT_ERROR_VALUE;
  if (post.kind == INTRT_POST_SCALE) return check_scale(checker, post, output);
  if (has_scale_fields(post)) return INTRT_ERROR_VALUE;
  if (post.kind == INTRT_POST_SHIFT) return check_shift(checker, post, output, width);
  if (post.kind != INTRT_POST_NONE) return INTRT_ERROR_VALUE;
  if (output.type != INTRT_INT32) return INTRT_ERROR_SHAPE;
  const bool empty = post.rounding == 0 && post.lo == 0 && post.hi == 0 &&
                     post.shifts_offset == 0 && post.shift_count == 0;
  return empty ? INTRT_OK : INTRT_ERROR_VALUE;
}

}  // namespace

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

intrt_status check_post(Checker& checker, const intrt_post_record& post,
                        const intrt_tensor_record& output, Width width) {
  if (post.reserved != 0) return INTRT_ERROR_VALUE;
  if (intrt_status status = check_function(checker, post, output, width); status != INTRT_OK)
    return status;
  return check_mask(checker, post.mask_offset, output);
}

intrt_status check_same_decimals(Checker& checker, const intrt_tensor_record& input,
                                 const intrt_tensor_record& output) {
  const int8_t* in = object_at<int8_t>(checker.plan(), input.decimals_offset);
  const int8_t* out = object_at<int8_t>(checker.plan(), output.decimals_offset);
  if (input.decimal_count == 1 && output.decimal_count == 1)
    return in[0] == out[0] ? INTRT_OK : INTRT_ERROR_SHAPE;
  if (!checker.spend(output.channels)) return INTRT_ERROR_WORK;
  for (uint32_t c = 0; c < input.channels; ++c)
    if (in[input.decimal_count == 1 ? 0 : c] != out[output.decimal_count == 1 ? 0 : c])
      return INTRT_ERROR_SHAPE;
  return INTRT_OK;
}

bool spreads_over(const intrt_tensor_record& input, const intrt_tensor_record& output) {
  return (input.channels == output.channels || input.channels == 1) &&
         (input.height == output.height || input.height == 1) &&
         (input.width == output.width || input.width == 1);
}

bool WindowAxis::values_allowed() const {
  return dimension_allowed(kernel) && dimension_allowed(stride) && dimension_allowed(dilation) &&
         pad_before <= INTRT_MAX_DIM && pad_after <= INTRT_MAX_DIM;
}

}  // namespace intrt
