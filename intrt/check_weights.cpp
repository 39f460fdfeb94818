// Checks of stored weights: dense, sparse, and of inputs with several decimals.
#include "intrt/check.h"
#include "intrt/kernels/bits.h"

namespace intrt {

namespace {

// Below 2^63 for the at most 2^32 bytes of a plan.
template <typename W>
uint64_t sum_of_magnitudes(const W* weights, uint64_t count) {
  uint64_t sum = 0;
  for (uint64_t i = 0; i < count; ++i) sum += magnitude(weights[i]);
  return sum;
}

uint64_t sum_of_magnitudes(const intrt_plan& plan, const WeightSpec& spec, uint64_t first,
                           uint64_t count) {
  switch (spec.weight_type) {
    case INTRT_INT8:
      return sum_of_magnitudes(object_at<int8_t>(plan, spec.weights_offset) + first, count);
    case INTRT_INT16:
      return sum_of_magnitudes(object_at<int16_t>(plan, spec.weights_offset) + first, count);
    default:
      return sum_of_magnitudes(object_at<int32_t>(plan, spec.weights_offset) + first, count);
  }
}

uint64_t row_length(const WeightSpec& spec) { return spec.taps * spec.inputs; }

// `count` weights lie in the plan, and the budget covers reading them.
intrt_status check_values(Checker& checker, const WeightSpec& spec, uint64_t count) {
  const uint32_t weight_bytes = element_bytes(spec.weight_type);
  if (!checker.holds(spec.weights_offset, count, weight_bytes, INTRT_PLAN_ALIGNMENT))
    return INTRT_ERROR_BOUNDS;
  return checker.spend(count * weight_bytes) ? INTRT_OK : INTRT_ERROR_WORK;
}

intrt_status check_dense(Checker& checker, const WeightSpec& spec) {
  // A row longer than the plan cannot be inside; after this the product stays below 2^48.
  if (row_length(spec) > checker.plan().size) return INTRT_ERROR_BOUNDS;
  return check_values(checker, spec, spec.rows * row_length(spec));
}

// Bits and starts say the same, and no bit is set behind the last weight of a tap.
intrt_status check_sparse(Checker& checker, const WeightSpec& spec) {
  const intrt_plan& plan = checker.plan();
  const WeightStorage& storage = spec.storage;
  const uint64_t tap_bytes = (spec.inputs + 7) / 8, row_bytes = spec.taps * tap_bytes;
  if (row_bytes > plan.size ||
      !checker.holds(storage.nonzero_offset, spec.rows * row_bytes, 1, 1) ||
      !checker.holds(storage.starts_offset, spec.rows + 1, sizeof(uint32_t), sizeof(uint32_t)))
    return INTRT_ERROR_BOUNDS;
  if (!checker.spend(spec.rows * row_bytes + (spec.rows + 1) * sizeof(uint32_t)))
    return INTRT_ERROR_WORK;
  const uint32_t* starts = object_at<uint32_t>(plan, storage.starts_offset);
  const uint8_t* bits = object_at<uint8_t>(plan, storage.nonzero_offset);
  if (starts[0] != 0) return INTRT_ERROR_VALUE;
  const uint32_t used_bits = static_cast<uint32_t>(spec.inputs % 8);
  for (uint64_t row = 0; row < spec.rows; ++row) {
    uint64_t end = starts[row];
    for (uint64_t tap = 0; tap < spec.taps; ++tap, bits += tap_bytes) {
      if (used_bits != 0 && bits[tap_bytes - 1] >> used_bits != 0) return INTRT_ERROR_VALUE;
      for (uint64_t i = 0; i < tap_bytes; ++i) end += count_bits(bits[i]);
    }
    if (starts[row + 1] != end) return INTRT_ERROR_VALUE;
  }
  return check_values(checker, spec, starts[spec.rows]);
}

intrt_status check_segments(Checker& checker, const WeightSpec& spec) {
  const WeightStorage& storage = spec.storage;
  if (spec.weight_type == INTRT_INT32) return INTRT_ERROR_VALUE;
  if (!checker.holds(storage.segments_offset, storage.segment_count, sizeof(intrt_segment),
                     alignof(intrt_segment)))
    return INTRT_ERROR_BOUNDS;
  if (!checker.spend(static_cast<uint64_t>(storage.segment_count) * sizeof(intrt_segment)))
    return INTRT_ERROR_WORK;
  const intrt_segment* segments = object_at<intrt_segment>(checker.plan(), storage.segments_offset);
  uint32_t end = 0;
  for (uint32_t s = 0; s < storage.segment_count; ++s) {
    if (segments[s].end <= end || segments[s].shift > 30 || (s == 0 && segments[s].shift != 0))
      return INTRT_ERROR_VALUE;
    end = segments[s].end;
  }
  return end == spec.inputs ? INTRT_OK : INTRT_ERROR_SHAPE;
}

intrt_status check_storage(Checker& checker, const WeightSpec& spec) {
  const WeightStorage& storage = spec.storage;
  if (spec.weight_type < INTRT_INT8 || spec.weight_type > INTRT_INT32) return INTRT_ERROR_VALUE;
  const bool sparse = storage.nonzero_offset != 0, segments = storage.segment_count != 0;
  if ((sparse && segments) || (!sparse && storage.starts_offset != 0) ||
      (!segments && storage.segments_offset != 0))
    return INTRT_ERROR_VALUE;
  if (sparse) return check_sparse(checker, spec);
  if (intrt_status status = segments ? check_segments(checker, spec) : INTRT_OK; status != INTRT_OK)
    return status;
  return check_dense(checker, spec);
}

// Sum of the magnitudes of what the weights of a row stand for; more than `limit` where it is
// larger than that. `limit` < 2^62.
uint64_t row_magnitude(const intrt_plan& plan, const WeightSpec& spec, uint64_t row,
                       uint64_t limit) {
  const WeightStorage& storage = spec.storage;
  if (storage.nonzero_offset != 0) {
    const uint32_t* starts = object_at<uint32_t>(plan, storage.starts_offset) + row;
    return sum_of_magnitudes(plan, spec, starts[0], starts[1] - starts[0]);
  }
  const uint64_t first = row * row_length(spec);
  if (storage.segment_count == 0) return sum_of_magnitudes(plan, spec, first, row_length(spec));
  const intrt_segment* segments = object_at<intrt_segment>(plan, storage.segments_offset);
  uint64_t sum = 0;
  uint32_t begin = 0;
  for (uint32_t s = 0; s < storage.segment_count; begin = segments[s++].end) {
    if (sum > limit >> segments[s].shift) return limit + 1;
    sum <<= segments[s].shift;
    for (uint64_t tap = 0; tap < spec.taps; ++tap)
      sum +=
          sum_of_magnitudes(plan, spec, first + tap * spec.inputs + begin, segments[s].end - begin);
  }
  return sum;
}

}  // namespace

intrt_status check_weights(Checker& checker, const WeightSpec& spec,
                           const intrt_tensor_record& input, const intrt_post_record& post,
                           const intrt_tensor_record& output) {
  if (intrt_status status = check_storage(checker, spec); status != INTRT_OK) return status;
  if (spec.bias_offset != 0 &&
      !checker.holds(spec.bias_offset, spec.rows, sizeof(int32_t), INTRT_PLAN_ALIGNMENT))
    return INTRT_ERROR_BOUNDS;
  if (!checker.spend(spec.bias_offset != 0 ? spec.rows * sizeof(int32_t) : 0))
    return INTRT_ERROR_WORK;

  const intrt_plan& plan = checker.plan();
  const uint64_t limit = width_of(spec.weight_type) == Width::kWide
                             ? static_cast<uint64_t>(1) << 62
                             : accumulator_limit(post, output);
  for (uint64_t row = 0; row < spec.rows; ++row) {
    const uint64_t bias =
        spec.bias_offset == 0 ? 0 : magnitude(object_at<int32_t>(plan, spec.bias_offset)[row]);
    if (bias > limit) return INTRT_ERROR_OVERFLOW;
    // sum * 2^(bits-1) + bias <= limit, without overflow.
    const uint64_t most = (limit - bias) >> (input.bits - 1);
    if (row_magnitude(plan, spec, row, most) > most) return INTRT_ERROR_OVERFLOW;
  }
  return INTRT_OK;
}

}  // namespace intrt
