// Convolutions with any window, stride, dilation and groups. Include the variant's convolution.h
// and depthwise.h, or depthwise_wide.h, before.
#pragma once

#include "intrt/kernels/vector/geometry.h"

namespace intrt {
namespace {

bool takes(const OpToPrepare& op) {
  const intrt_conv2d_params& p = params_of<intrt_conv2d_params>(op.record);
  if (p.weight_type == INTRT_INT32) return false;
  const Sizes s = sizes_of(p, op.input, op.output);
  if (is_depthwise(s)) return Columns(s).fits(s);
  if (s.groups > 1 && s.group_outputs < kFewOutputs) return false;
  return dense_fits(s);
}

size_t prepared_bytes(const OpToPrepare& op) {
  const intrt_conv2d_params& p = params_of<intrt_conv2d_params>(op.record);
  const Sizes s = sizes_of(p, op.input, op.output);
  if (is_depthwise(s)) return depthwise_bytes(op, p.post, s);
  return dense_bytes(op, p.post, s,
                     stored_weights(op.plan, p, s.kernel_h * s.kernel_w, s.group_inputs));
}

void prepare(const OpToPrepare& op, void* to) {
  const intrt_conv2d_params& p = params_of<intrt_conv2d_params>(op.record);
  const Sizes s = sizes_of(p, op.input, op.output);
  const StoredWeights weights = stored_weights(op.plan, p, s.kernel_h * s.kernel_w, s.group_inputs);
  const int32_t* bias = p.bias_offset == 0 ? nullptr : object_at<int32_t>(op.plan, p.bias_offset);
  if (is_depthwise(s))
    prepare_depthwise(op, p.post, s, weights, bias, to);
  else
    prepare_dense(op, p.post, s, weights, bias, to);
}

uint32_t slices(const OpToPrepare& op) {
  const Sizes s = sizes_of(params_of<intrt_conv2d_params>(op.record), op.input, op.output);
  if (!is_depthwise(s)) return dense_slices(s);
  const size_t rows = depthwise_slice_rows(s);
  return static_cast<uint32_t>((s.output_height + rows - 1) / rows);
}

RowSlices row_slices(const OpToPrepare& op) {
  const Sizes s = sizes_of(params_of<intrt_conv2d_params>(op.record), op.input, op.output);
  const bool is_one_row = s.output_height == 1;  // as a window of one pixel sees all rows
  if (is_depthwise(s)) return {is_one_row ? 0 : static_cast<uint32_t>(depthwise_slice_rows(s)), 1};
  return {sliced_by_outputs(s) ? 0u : 1u, is_one_row ? op.output.width : 1u};
}

void run(const OpToRun& op) {
  const intrt_conv2d_params& p = params_of<intrt_conv2d_params>(op.record);
  const Sizes s = sizes_of(p, op.input, op.output);
  if (is_depthwise(s))
    run_depthwise(op, p.post, s);
  else
    run_dense(op, p.post, s);
}

}  // namespace
}  // namespace intrt
