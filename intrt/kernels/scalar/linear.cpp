// Matrix times vector. The input is read in its physical order; the weights were laid out to match.
#include "intrt/kernels/kernel.h"

namespace {

using namespace intrt;

template <typename X, typename W>
void multiply(const OpToRun& op) {
  const intrt_linear_params& p = params_of<intrt_linear_params>(op.record);
  const PostOp post(op, p.post);
  const X* input = static_cast<const X*>(op.input_data);
  const W* weights = object_at<W>(op.plan, p.weights_offset);
  const int32_t* bias = p.bias_offset == 0 ? nullptr : object_at<int32_t>(op.plan, p.bias_offset);
  const size_t inputs = static_cast<size_t>(element_count(op.input));
  for (uint32_t o = 0; o < op.output.channels; ++o)
    post.store(o, o, dot(input, weights + o * inputs, inputs) + (bias == nullptr ? 0 : bias[o]));
}

}  // namespace

intrt_status intrt_check_linear(Checker& checker, const OpToCheck& op) {
  const intrt_linear_params& p = params_of<intrt_linear_params>(op.record);
  if (!multiplies(op.input) || op.output.height != 1 || op.output.width != 1)
    return INTRT_ERROR_SHAPE;
  if (intrt_status status = check_post(checker, p.post, op.output, width_of(p.weight_type));
      status != INTRT_OK)
    return status;
  return check_accumulators(
      checker,
      {p.weight_type, p.weights_offset, p.bias_offset, op.output.channels, element_count(op.input)},
      op.input, p.post, op.output);
}

void intrt_scalar_linear(const OpToRun& op) {
  with_types(op.input.type, params_of<intrt_linear_params>(op.record).weight_type,
             [&op](auto x, auto w) { multiply<decltype(x), decltype(w)>(op); });
}
