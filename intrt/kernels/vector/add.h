// Weighted sums of two values of one shape. Include the variant's PostLanes, add_alike and
// add_channels before.
#pragma once

#include "intrt/kernels/vector/elementwise.h"

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

uint32_t slices(const OpToPrepare& op) {
  return element_slices(
      is_flat(op.plan, params_of<intrt_add_params>(op.record), op.output.channels), op.output);
}

RowSlices row_slices(const OpToPrepare& op) { return {op.output.height > 1 ? 1u : 0u, 1}; }

void run(const OpToRun& op) {
  const intrt_add_params& p = params_of<intrt_add_params>(op.record);
  const int32_t* multipliers = object_at<int32_t>(op.plan, p.multipliers_offset);
  const bool flat = is_flat(op.plan, p, op.output.channels);
  if (flat) {
    const Elements elements(op, flat);
    if (add_alike(op, multipliers, elements.begin, elements.end - elements.begin)) return;
  }
  for_each_block(op, p.post, flat,
                 [&](const PostLanes& post, uint32_t first, uint32_t count, size_t element,
                     size_t places, size_t step) {
                   add_channels(op, post, multipliers, first, count, element, places, step);
                 });
}

}  // namespace
}  // namespace intrt
