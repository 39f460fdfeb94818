// Element by element: quantize of codes or accumulators, relu, prune, and whole chains of float
// functions. Each element is read before
// it is written, so the output may lie exactly on the input.
#include "intrt/kernels/kernel.h"

using namespace intrt;

intrt_status intrt_check_requantize(Checker& checker, const OpToCheck& op) {
  const intrt_post_record& post = params_of<intrt_requantize_params>(op.record).post;
  if (!same_shape(op.input, op.output)) return INTRT_ERROR_SHAPE;
  if (intrt_status status = check_post(checker, post, op.output); status != INTRT_OK) return status;
  return post.kind == INTRT_POST_NONE && op.input.bits > op.output.bits ? INTRT_ERROR_OVERFLOW
                                                                        : INTRT_OK;
}

namespace {

void run(const OpToRun& op) {
  const PostOp post(op, params_of<intrt_requantize_params>(op.record).post);
  const size_t pixels = static_cast<size_t>(op.input.height) * op.input.width;
  size_t element = 0;
  for (size_t pixel = 0; pixel < pixels; ++pixel)
    for (uint32_t c = 0; c < op.input.channels; ++c, ++element)
      post.store(element, c, load_code(op.input_data, op.input.type, element));
}

}  // namespace

INTRT_DEFINE_FAST_KERNEL(requantize, requantize, run)
