// Weighted sums of two values of one shape. Each element is read before the one in its place is
// written, so the output may lie exactly on an input. Include the variant's PostLanes,
// add_alike and add_channels before.
#pragma once

#include "intrt/kernels/kernel.h"

namespace intrt {
namespace {

bool takes(const OpToPrepare& op) {
  const intrt_tensor_record &a = op.input, &b = input_record(op.plan, op.record, 1);
  return a.type != INTRT_INT32 && b.type != INTRT_INT32 && same_shape(a, op.output) &&
         same_shape(b, op.output);
}

bool all_equal(const int32_t* values, uint32_t count) {
  for (uint32_t i = 1; i < count; ++i)
    if (values[i] != values[0]) return false;
  return true;
}

bool is_flat(const intrt_plan& plan, const intrt_add_params& p, uint32_t channels) {
  const int32_t* multipliers = object_at<int32_t>(plan, p.multipliers_offset);
  return channels >= kLanes && channels_alike(p.post) && all_equal(multipliers, channels) &&
         all_equal(multipliers + channels, channels);
}

// A slice is a row or, of one row whose channels are alike, some elements.
size_t slice_elements(bool is_flat, const intrt_tensor_record& output) {
  constexpr size_t kSome = 64;
  return is_flat && output.height == 1 ? kSome : size_t{output.width} * output.channels;
}
uint32_t slices(const OpToPrepare& op) {
  const size_t of_slice = slice_elements(
      is_flat(op.plan, params_of<intrt_add_params>(op.record), op.output.channels), op.output);
  return static_cast<uint32_t>((element_count(op.output) + of_slice - 1) / of_slice);
}
RowSlices row_slices(const OpToPrepare& op) { return {op.output.height > 1 ? 1u : 0u, 1}; }

void run(const OpToRun& op) {
  const intrt_add_params& p = params_of<intrt_add_params>(op.record);
  const int32_t* multipliers = object_at<int32_t>(op.plan, p.multipliers_offset);
  const uint32_t channels = op.output.channels;
  if (is_flat(op.plan, p, channels)) {
    const size_t elements = static_cast<size_t>(element_count(op.output));
    const size_t of_slice = slice_elements(true, op.output);
    const size_t begin = op.slices.begin * of_slice, all = op.slices.end * of_slice;
    const size_t end = all < elements ? all : elements;
    if (add_alike(op, multipliers, begin, end - begin)) return;
    // Whatever channels they are, kLanes elements at a time.
    add_channels(op, PostLanes(op, p.post, 0, kLanes), multipliers, 0, kLanes, begin,
                 (end - begin) / kLanes, kLanes);
    const uint32_t rest = static_cast<uint32_t>((end - begin) % kLanes);
    if (rest > 0)
      add_channels(op, PostLanes(op, p.post, 0, rest), multipliers, 0, rest, end - rest, 1, 0);
    return;
  }
  const size_t begin = static_cast<size_t>(op.slices.begin) * op.output.width;
  const size_t end = static_cast<size_t>(op.slices.end) * op.output.width;
  for (uint32_t first = 0; first < channels; first += kLanes) {
    const uint32_t count = lanes_from(first, channels);
    add_channels(op, PostLanes(op, p.post, first, count), multipliers, first, count,
                 begin * channels + first, end - begin, channels);
  }
}

}  // namespace
}  // namespace intrt
