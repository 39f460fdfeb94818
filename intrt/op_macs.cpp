#include "intrt/kernels/kernel.h"

namespace {

using namespace intrt;

uint64_t positions(const intrt_tensor_record& tensor) {
  return static_cast<uint64_t>(tensor.height) * tensor.width;
}

// Weights that are stored, of `dense` that there are.
template <typename Params>
uint64_t stored(const intrt_plan& plan, const Params& p, uint32_t outputs, uint64_t dense) {
  return p.nonzero_offset == 0 ? dense : object_at<uint32_t>(plan, p.starts_offset)[outputs];
}

}  // namespace

uint64_t intrt_op_macs(const intrt_plan* plan, uint32_t op) {
  const intrt_op_record& record = op_record(*plan, op);
  const intrt_tensor_record& input = input_record(*plan, record, 0);
  const intrt_tensor_record& output = tensor_record(*plan, record.output);
  switch (record.code) {
    case kOp_conv2d: {
      const intrt_conv2d_params& p = params_of<intrt_conv2d_params>(record);
      const uint64_t of_window = static_cast<uint64_t>(p.kernel_h) * p.kernel_w *
                                 (input.channels / p.groups) * output.channels;
      return stored(*plan, p, output.channels, of_window) * positions(output);
    }
    case kOp_linear:
      return stored(*plan, params_of<intrt_linear_params>(record), output.channels,
                    element_count(input) * output.channels);
    case kOp_conv_transpose2d: {
      const intrt_conv_transpose2d_params& p = params_of<intrt_conv_transpose2d_params>(record);
      return static_cast<uint64_t>(p.kernel_h) * p.kernel_w * (input.channels / p.groups) *
             output.channels * positions(input);
    }
    default:
      return 0;
  }
}
