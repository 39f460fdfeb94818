// Linear layers whose zeros are left out one by one where that pays, else in blocks. Include the
// variant's convolution.h and linear_nonzeros.h before.
#pragma once

#include "intrt/kernels/vector/linear.h"
#include "intrt/kernels/vector/linear_header.h"

namespace intrt {
namespace {

size_t prepared_bytes_of_either(const OpToPrepare& op) {
  return sizeof(LinearHeader) + prepared_bytes(op);
}

void prepare_either(const OpToPrepare& op, void* to) {
  const intrt_linear_params& p = params_of<intrt_linear_params>(op.record);
  const Sizes s = sizes_of_linear(op.input, op.output);
  LinearHeader& header = *static_cast<LinearHeader*>(to);
  __builtin_memset(&header, 0, sizeof header);
  header.nonzeros_alone = prepare_nonzeros(
      op, p.post, s, stored_weights(op.plan, p, 1, s.channels),
      p.bias_offset == 0 ? nullptr : object_at<int32_t>(op.plan, p.bias_offset), &header + 1);
  if (!header.nonzeros_alone) prepare(op, &header + 1);
}

void run_either(const OpToRun& op) {
  const LinearHeader& header = *static_cast<const LinearHeader*>(op.prepared);
  OpToRun behind = op;
  behind.prepared = &header + 1;
  if (header.nonzeros_alone)
    run_nonzeros(behind, params_of<intrt_linear_params>(op.record).post,
                 sizes_of_linear(op.input, op.output));
  else
    run(behind);
}

// Prepared weights are the same however the plan stores them.
constexpr FastKernel kLinear = {takes, run_either, prepared_bytes_of_either, prepare_either,
                                slices};

}  // namespace
}  // namespace intrt
