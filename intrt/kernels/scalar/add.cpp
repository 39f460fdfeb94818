// A weighted sum of two values, element by element; the multipliers bring both to one grid. Each
// element is read before the one in its place is written, so the output may lie exactly on an
// input.
#include "intrt/kernels/kernel.h"

using namespace intrt;

intrt_status intrt_check_add(Checker& checker, const OpToCheck& op) {
  const intrt_add_params& p = params_of<intrt_add_params>(op.record);
  const intrt_tensor_record &a = op.input_at(0), &b = op.input_at(1);
  if (!spreads_over(a, op.output) || !spreads_over(b, op.output)) return INTRT_ERROR_SHAPE;
  if (intrt_status status = check_post(checker, p.post, op.output); status != INTRT_OK)
    return status;
  const uint32_t channels = op.output.channels;
  if (!checker.holds(p.multipliers_offset, 2 * static_cast<uint64_t>(channels), 4, 4))
    return INTRT_ERROR_BOUNDS;
  if (!checker.spend(8 * static_cast<uint64_t>(channels))) return INTRT_ERROR_WORK;
  const int32_t* multipliers = object_at<int32_t>(checker.plan(), p.multipliers_offset);
  const uint64_t limit = accumulator_limit(p.post, op.output);
  for (uint32_t c = 0; c < channels; ++c)  // each product is at most 2^62
    if (magnitude(multipliers[c]) * code_magnitude(a) +
            magnitude(multipliers[channels + c]) * code_magnitude(b) >
        limit)
      return INTRT_ERROR_OVERFLOW;
  return INTRT_OK;
}

namespace {

void run(const OpToRun& op) {
  const intrt_add_params& p = params_of<intrt_add_params>(op.record);
  const PostOp post(op, p.post);
  const int32_t* of_a = object_at<int32_t>(op.plan, p.multipliers_offset);
  const int32_t* of_b = of_a + op.output.channels;
  Spread a(op.input_at(0), op.input_data_at(0), op.output);
  Spread b(op.input_at(1), op.input_data_at(1), op.output);
  size_t element = 0;
  for (uint32_t y = 0; y < op.output.height; ++y)
    for (uint32_t x = 0; x < op.output.width; ++x) {
      a.start_pixel(y, x);
      b.start_pixel(y, x);
      for (uint32_t c = 0; c < op.output.channels; ++c, ++element)
        post.store(element, c, of_a[c] * a.code(c) + of_b[c] * b.code(c));
    }
}

}  // namespace

INTRT_DEFINE_FAST_KERNEL(add, add, run)
