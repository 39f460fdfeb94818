// The product of two values, element by element. Each element is read before the one in its place
// is written, so the output may lie exactly on an input.
#include "intrt/kernels/kernel.h"

using namespace intrt;

intrt_status intrt_check_mul(Checker& checker, const OpToCheck& op) {
  const intrt_mul_params& p = params_of<intrt_mul_params>(op.record);
  const intrt_tensor_record &a = op.input_at(0), &b = op.input_at(1);
  if (!spreads_over(a, op.output) || !spreads_over(b, op.output)) return INTRT_ERROR_SHAPE;
  if (intrt_status status = check_post(checker, p.post, op.output); status != INTRT_OK)
    return status;
  return code_magnitude(a) * code_magnitude(b) > accumulator_limit(p.post, op.output)
             ? INTRT_ERROR_OVERFLOW
             : INTRT_OK;
}

namespace {

void run(const OpToRun& op) {
  const PostOp post(op, params_of<intrt_mul_params>(op.record).post);
  Spread a(op.input_at(0), op.input_data_at(0), op.output);
  Spread b(op.input_at(1), op.input_data_at(1), op.output);
  size_t element = 0;
  for (uint32_t y = 0; y < op.output.height; ++y)
    for (uint32_t x = 0; x < op.output.width; ++x) {
      a.start_pixel(y, x);
      b.start_pixel(y, x);
      for (uint32_t c = 0; c < op.output.channels; ++c, ++element)
        post.store(element, c, a.code(c) * b.code(c));
    }
}

}  // namespace

INTRT_DEFINE_KERNEL(mul, mul, run)
