// Which channel holds the largest code of each pixel. Codes of one decimal compare as their values
// do; of equal ones the first wins.
#include "intrt/kernels/kernel.h"

namespace {

using namespace intrt;

template <typename X>
void find(const OpToRun& op) {
  const X* input = static_cast<const X*>(op.input_data);
  int32_t* output = static_cast<int32_t*>(op.output_data);
  const size_t pixels = static_cast<size_t>(op.input.height) * op.input.width;
  for (size_t pixel = 0; pixel < pixels; ++pixel, input += op.input.channels) {
    uint32_t best = 0;
    for (uint32_t c = 1; c < op.input.channels; ++c)
      if (input[c] > input[best]) best = c;
    output[pixel] = static_cast<int32_t>(best);
  }
}

}  // namespace

intrt_status intrt_check_argmax(Checker& checker, const OpToCheck& op) {
  const intrt_plan& plan = checker.plan();
  if (op.output.type != INTRT_INT32 || op.output.channels != 1 ||
      op.output.height != op.input.height || op.output.width != op.input.width)
    return INTRT_ERROR_SHAPE;
  if (!checker.spend(op.input.decimal_count)) return INTRT_ERROR_WORK;
  const int8_t* decimals = object_at<int8_t>(plan, op.input.decimals_offset);
  for (uint32_t i = 1; i < op.input.decimal_count; ++i)
    if (decimals[i] != decimals[0]) return INTRT_ERROR_SHAPE;
  if (object_at<int8_t>(plan, op.output.decimals_offset)[0] != 0) return INTRT_ERROR_SHAPE;
  return op.input.channels - 1 > static_cast<uint32_t>(code_max(op.output.bits))
             ? INTRT_ERROR_OVERFLOW
             : INTRT_OK;
}

namespace {

void run(const OpToRun& op) {
  switch (op.input.type) {
    case INTRT_INT8:
      return find<int8_t>(op);
    case INTRT_INT16:
      return find<int16_t>(op);
    default:
      return find<int32_t>(op);
  }
}

}  // namespace

INTRT_DEFINE_KERNEL(argmax, argmax, run)
