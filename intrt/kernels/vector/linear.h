// Matrix times vector: a convolution of one pixel. Include the variant's convolution.h before.
#pragma once

#include "intrt/kernels/vector/geometry.h"

namespace intrt {
namespace {

bool takes(const OpToPrepare& op) {
  return params_of<intrt_linear_params>(op.record).weight_type != INTRT_INT32 &&
         dense_fits(sizes_of_linear(op.input, op.output));
}

size_t prepared_bytes(const OpToPrepare& op) {
  const intrt_linear_params& p = params_of<intrt_linear_params>(op.record);
  const Sizes s = sizes_of_linear(op.input, op.output);
  return dense_bytes(op, p.post, s, stored_weights(op.plan, p, 1, s.channels));
}

void prepare(const OpToPrepare& op, void* to) {
  const intrt_linear_params& p = params_of<intrt_linear_params>(op.record);
  const Sizes s = sizes_of_linear(op.input, op.output);
  prepare_dense(op, p.post, s, stored_weights(op.plan, p, 1, s.channels),
                p.bias_offset == 0 ? nullptr : object_at<int32_t>(op.plan, p.bias_offset), to);
}

uint32_t slices(const OpToPrepare& op) {
  return dense_slices(sizes_of_linear(op.input, op.output));
}

void run(const OpToRun& op) {
  run_dense(op, params_of<intrt_linear_params>(op.record).post,
            sizes_of_linear(op.input, op.output));
}

}  // namespace
}  // namespace intrt
