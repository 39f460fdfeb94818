// Matrix times vector. The input is read in its physical order; the weights were laid out to match.
#include "intrt/kernels/bits.h"
#include "intrt/kernels/kernel.h"

namespace {

using namespace intrt;

const int32_t* bias_of(const OpToRun& op, const intrt_linear_params& p) {
  return p.bias_offset == 0 ? nullptr : object_at<int32_t>(op.plan, p.bias_offset);
}

template <typename X, typename W>
void multiply(const OpToRun& op) {
  const intrt_linear_params& p = params_of<intrt_linear_params>(op.record);
  const PostOp post(op, p.post);
  const X* input = static_cast<const X*>(op.input_data);
  const W* weights = object_at<W>(op.plan, p.weights_offset);
  const int32_t* bias = bias_of(op, p);
  const size_t inputs = static_cast<size_t>(element_count(op.input));
  for (uint32_t o = 0; o < op.output.channels; ++o)
    post.store(o, o, dot(input, weights + o * inputs, inputs) + (bias == nullptr ? 0 : bias[o]));
}

template <typename X, typename W>
void multiply_sparse(const OpToRun& op) {
  const intrt_linear_params& p = params_of<intrt_linear_params>(op.record);
  const PostOp post(op, p.post);
  const X* input = static_cast<const X*>(op.input_data);
  const W* w = object_at<W>(op.plan, p.weights_offset);
  const int32_t* bias = bias_of(op, p);
  const size_t row_bytes = (static_cast<size_t>(element_count(op.input)) + 7) / 8;
  const uint8_t* bits = object_at<uint8_t>(op.plan, p.nonzero_offset);
  for (uint32_t o = 0; o < op.output.channels; ++o, bits += row_bytes) {
    Accumulator<W> acc = bias == nullptr ? 0 : bias[o];
    for_each_bit(bits, row_bytes,
                 [&](size_t i) { acc += static_cast<Accumulator<W>>(input[i]) * *w++; });
    post.store(o, o, acc);
  }
}

// The segments go one after the other over all places; between two of them the sum moves to the
// finer grid.
template <typename X, typename W>
void multiply_segments(const OpToRun& op) {
  const intrt_linear_params& p = params_of<intrt_linear_params>(op.record);
  const PostOp post(op, p.post);
  const X* input = static_cast<const X*>(op.input_data);
  const W* weights = object_at<W>(op.plan, p.weights_offset);
  const int32_t* bias = bias_of(op, p);
  const intrt_segment* segments = object_at<intrt_segment>(op.plan, p.segments_offset);
  const size_t inputs = static_cast<size_t>(element_count(op.input));
  for (uint32_t o = 0; o < op.output.channels; ++o) {
    int32_t acc = 0;
    uint32_t begin = 0;
    for (uint32_t s = 0; s < p.segment_count; begin = segments[s++].end) {
      acc *= static_cast<int32_t>(1) << segments[s].shift;
      for (size_t place = begin; place < inputs; place += op.input.channels)
        acc += dot(input + place, weights + o * inputs + place, segments[s].end - begin);
    }
    post.store(o, o, acc + (bias == nullptr ? 0 : bias[o]));
  }
}

uint32_t weight_type(const OpToRun& op) {
  return params_of<intrt_linear_params>(op.record).weight_type;
}

void multiply_wide(const OpToRun& op) {
  with_wide_types(op.input.type, weight_type(op),
                  [&op](auto x, auto w) { multiply<decltype(x), decltype(w)>(op); });
}

void multiply_sparse_wide(const OpToRun& op) {
  with_wide_types(op.input.type, weight_type(op),
                  [&op](auto x, auto w) { multiply_sparse<decltype(x), decltype(w)>(op); });
}

void multiply_segments_wide(const OpToRun& op) {
  with_wide_segment_types(op.input.type, weight_type(op), [&op](auto x, auto w) {
    multiply_segments<decltype(x), decltype(w)>(op);
  });
}

}  // namespace

intrt_status intrt_check_linear(Checker& checker, const OpToCheck& op) {
  const intrt_linear_params& p = params_of<intrt_linear_params>(op.record);
  if (!multiplies(op.input) || op.output.height != 1 || op.output.width != 1)
    return INTRT_ERROR_SHAPE;
  if (intrt_status status = check_post(checker, p.post, op.output, width_of(p.weight_type));
      status != INTRT_OK)
    return status;
  // Bits go through all elements of the input, segments through its channels at each place.
  const uint64_t inputs = element_count(op.input);
  const uint64_t taps =
      p.nonzero_offset != 0 ? 1 : static_cast<uint64_t>(op.input.height) * op.input.width;
  return check_weights(checker,
                       {p.weight_type, p.weights_offset, p.bias_offset, op.output.channels, taps,
                        p.nonzero_offset != 0 ? inputs : op.input.channels, storage_of(p)},
                       op.input, p.post, op.output);
}

INTRT_DEFINE_FAST_KERNEL(linear, linear, multiply<int8_t, int8_t>)
INTRT_DEFINE_FAST_KERNEL(linear, linear_wide, multiply_wide)
INTRT_DEFINE_FAST_KERNEL(linear, linear_sparse, multiply_sparse<int8_t, int8_t>)
INTRT_DEFINE_FAST_KERNEL(linear, linear_sparse_wide, multiply_sparse_wide)
INTRT_DEFINE_KERNEL(linear, linear_segments, multiply_segments<int8_t, int8_t>)
INTRT_DEFINE_KERNEL(linear, linear_segments_wide, multiply_segments_wide)
