// Physical HWC to physical CHW: a feature map becomes the vector that PyTorch's flatten gives.
#include "intrt/kernels/kernel.h"

namespace {

using namespace intrt;

template <typename X>
void transpose(const OpToRun& op) {
  const X* input = static_cast<const X*>(op.input_data);
  X* output = static_cast<X*>(op.output_data);
  const size_t pixels = static_cast<size_t>(op.input.height) * op.input.width;
  const size_t channels = op.input.channels;
  for (size_t c = 0; c < channels; ++c)
    for (size_t pixel = 0; pixel < pixels; ++pixel) *output++ = input[pixel * channels + c];
}

}  // namespace

intrt_status intrt_check_transpose(Checker& checker, const OpToCheck& op) {
  if (op.input.type != op.output.type || op.input.bits != op.output.bits ||
      op.output.channels != element_count(op.input) || op.output.height != 1 ||
      op.output.width != 1 || op.output.logical_rank != 1)
    return INTRT_ERROR_SHAPE;
  return check_same_decimals(checker, op.input, op.output, op.input.height * op.input.width);
}

void intrt_scalar_transpose(const OpToRun& op) {
  switch (op.input.type) {
    case INTRT_INT8:
      return transpose<int8_t>(op);
    case INTRT_INT16:
      return transpose<int16_t>(op);
    default:
      return transpose<int32_t>(op);
  }
}
