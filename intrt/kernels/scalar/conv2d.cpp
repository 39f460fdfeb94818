// Convolution over HWC codes. Each output pixel clips the window to the input once, so the inner
// loop runs over taps and channels that are there, in one contiguous piece where dilation and
// groups allow.
#include "intrt/kernels/scalar/convolution.h"

namespace {

using namespace intrt;

// output = floor((padded - reach) / stride) + 1, where the window fits at all. 32-bit division on
// purpose: a device without a 64-bit divider would need a library for it.
bool output_fits(const WindowAxis& axis) {
  if (axis.reach() > axis.padded()) return false;
  const uint32_t slack = static_cast<uint32_t>(axis.padded() - axis.reach());
  return axis.output == slack / axis.stride + 1;
}

template <typename X, typename W>
void convolve(const OpToRun& op) {
  const Convolution conv(op);
  const intrt_conv2d_params& p = conv.p;
  const PostOp post(op, p.post);
  const X* input = static_cast<const X*>(op.input_data);
  const W* weights = object_at<W>(op.plan, p.weights_offset);
  const int32_t* bias = p.bias_offset == 0 ? nullptr : object_at<int32_t>(op.plan, p.bias_offset);
  const size_t row_length = p.kernel_h * p.kernel_w * conv.group_inputs;

  size_t element = 0;
  for (uint32_t oy = 0; oy < op.output.height; ++oy) {
    const int32_t y0 = conv.first_row(oy);
    const Taps rows = conv.rows_inside(y0);
    for (uint32_t ox = 0; ox < op.output.width; ++ox) {
      const int32_t x0 = conv.first_column(ox);
      const Taps columns = conv.columns_inside(x0);
      const size_t taps = count(columns);
      uint32_t group = 0, left_in_group = conv.group_outputs;
      for (uint32_t o = 0; o < op.output.channels; ++o, ++element) {
        if (left_in_group == 0) {
          ++group;
          left_in_group = conv.group_outputs;
        }
        --left_in_group;
        Accumulator<W> acc = bias == nullptr ? 0 : bias[o];
        for (int32_t ky = rows.first; taps != 0 && ky < rows.end; ++ky) {
          const X* in = input + conv.element(y0, ky, x0, columns.first, group);
          const W* w = weights + o * row_length +
                       (static_cast<size_t>(ky) * p.kernel_w + static_cast<size_t>(columns.first)) *
                           conv.group_inputs;
          if (conv.contiguous) {
            acc += dot(in, w, taps * conv.channels);
          } else {
            for (size_t tap = 0; tap < taps; ++tap)
              acc += dot(in + tap * p.dilation_w * conv.channels, w + tap * conv.group_inputs,
                         conv.group_inputs);
          }
        }
        post.store(element, o, acc);
      }
    }
  }
}

void convolve_wide(const OpToRun& op) {
  with_wide_types(op.input.type, params_of<intrt_conv2d_params>(op.record).weight_type,
                  [&op](auto x, auto w) { convolve<decltype(x), decltype(w)>(op); });
}

}  // namespace

intrt_status intrt_check_conv2d(Checker& checker, const OpToCheck& op) {
  const intrt_conv2d_params& p = params_of<intrt_conv2d_params>(op.record);
  const WindowAxis down = vertical_axis(p, op), across = horizontal_axis(p, op);
  if (!down.values_allowed() || !across.values_allowed() || p.groups == 0) return INTRT_ERROR_VALUE;
  if (!multiplies(op.input) || op.input.channels % p.groups != 0 ||
      op.output.channels % p.groups != 0 || !output_fits(down) || !output_fits(across))
    return INTRT_ERROR_SHAPE;
  if (intrt_status status = check_post(checker, p.post, op.output, width_of(p.weight_type));
      status != INTRT_OK)
    return status;
  return check_weights(
      checker,
      {p.weight_type, p.weights_offset, p.bias_offset, op.output.channels,
       static_cast<uint64_t>(p.kernel_h) * p.kernel_w, op.input.channels / p.groups, storage_of(p)},
      op.input, p.post, op.output);
}

INTRT_DEFINE_FAST_KERNEL(conv2d, conv2d, convolve<int8_t, int8_t>)
INTRT_DEFINE_FAST_KERNEL(conv2d, conv2d_wide, convolve_wide)
