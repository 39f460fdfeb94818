// The transpose of a convolution over HWC codes, gathered: each output pixel collects the taps that
// reach it. Along one axis these are every k_step-th tap, and from one to the next the input
// position goes back by i_step; only the first is searched for.
#include "intrt/kernels/kernel.h"

namespace {

using namespace intrt;

uint32_t greatest_common_divisor(uint32_t a, uint32_t b) {
  while (b != 0) {
    const uint32_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

// Tap first + n * k_step, for n = 0 .. count - 1, reads position - n * i_step.
struct Reaching {
  uint32_t first, count, position;
};

struct Axis {
  uint32_t kernel, stride, dilation, pad;
  uint32_t end;  // stride times the last position of the input
  uint32_t k_step, i_step;

  Axis(uint32_t input, uint32_t kernel_, uint32_t stride_, uint32_t dilation_, uint32_t pad_)
      : kernel(kernel_),
        stride(stride_),
        dilation(dilation_),
        pad(pad_),
        end((input - 1) * stride_),
        k_step(stride_ / greatest_common_divisor(stride_, dilation_)),
        i_step(dilation_ / greatest_common_divisor(stride_, dilation_)) {}

  // The taps k of output position `at`: with t = at + pad, t - k * dilation is the multiple of the
  // stride that belongs to a position of the input. All values stay below 2^32.
  Reaching reaching(uint32_t at) const {
    const uint32_t t = at + pad;
    const uint32_t lowest = t > end ? (t - end - 1) / dilation + 1 : 0;
    const uint32_t highest = t / dilation < kernel ? t / dilation : kernel - 1;
    for (uint32_t k = lowest; k <= highest && k - lowest < k_step; ++k) {
      const uint32_t rest = t - k * dilation;
      const uint32_t position = rest / stride;
      if (position * stride == rest) return {k, (highest - k) / k_step + 1, position};
    }
    return {0, 0, 0};
  }
};

template <typename X, typename W>
void convolve_transposed(const OpToRun& op) {
  const intrt_conv_transpose2d_params& p = params_of<intrt_conv_transpose2d_params>(op.record);
  const PostOp post(op, p.post);
  const X* input = static_cast<const X*>(op.input_data);
  const W* weights = object_at<W>(op.plan, p.weights_offset);
  const int32_t* bias = p.bias_offset == 0 ? nullptr : object_at<int32_t>(op.plan, p.bias_offset);

  const size_t channels = op.input.channels;
  const size_t group_inputs = channels / p.groups;
  const uint32_t group_outputs = op.output.channels / p.groups;
  const size_t row_length = p.kernel_h * p.kernel_w * group_inputs;
  const Axis down(op.input.height, p.kernel_h, p.stride_h, p.dilation_h, p.pad_top);
  const Axis across(op.input.width, p.kernel_w, p.stride_w, p.dilation_w, p.pad_left);

  size_t element = 0;
  for (uint32_t oy = 0; oy < op.output.height; ++oy) {
    const Reaching rows = down.reaching(oy);
    for (uint32_t ox = 0; ox < op.output.width; ++ox) {
      const Reaching columns = across.reaching(ox);
      uint32_t group = 0, left_in_group = group_outputs;
      for (uint32_t o = 0; o < op.output.channels; ++o, ++element) {
        if (left_in_group == 0) {
          ++group;
          left_in_group = group_outputs;
        }
        --left_in_group;
        Accumulator<W> acc = bias == nullptr ? 0 : bias[o];
        for (uint32_t r = 0; r < rows.count; ++r) {
          const size_t y = rows.position - r * down.i_step;
          const size_t ky = rows.first + r * down.k_step;
          const X* in = input + y * op.input.width * channels + group * group_inputs;
          const W* w = weights + o * row_length + ky * p.kernel_w * group_inputs;
          for (uint32_t c = 0; c < columns.count; ++c) {
            const size_t x = columns.position - c * across.i_step;
            const size_t kx = columns.first + c * across.k_step;
            acc += dot(in + x * channels, w + kx * group_inputs, group_inputs);
          }
        }
        post.store(element, o, acc);
      }
    }
  }
}

void convolve_wide(const OpToRun& op) {
  with_wide_types(op.input.type, params_of<intrt_conv_transpose2d_params>(op.record).weight_type,
                  [&op](auto x, auto w) { convolve_transposed<decltype(x), decltype(w)>(op); });
}

}  // namespace

intrt_status intrt_check_conv_transpose2d(Checker& checker, const OpToCheck& op) {
  const intrt_conv_transpose2d_params& p = params_of<intrt_conv_transpose2d_params>(op.record);
  if (!dimension_allowed(p.kernel_h) || !dimension_allowed(p.kernel_w) ||
      !dimension_allowed(p.stride_h) || !dimension_allowed(p.stride_w) ||
      !dimension_allowed(p.dilation_h) || !dimension_allowed(p.dilation_w) ||
      p.pad_top > INTRT_MAX_DIM || p.pad_left > INTRT_MAX_DIM || p.groups == 0)
    return INTRT_ERROR_VALUE;
  if (!multiplies(op.input) || op.input.channels % p.groups != 0 ||
      op.output.channels % p.groups != 0)
    return INTRT_ERROR_SHAPE;
  if (intrt_status status = check_post(checker, p.post, op.output, width_of(p.weight_type));
      status != INTRT_OK)
    return status;
  // Each output position searches and adds at most once for each of its weights.
  return check_weights(checker,
                       {p.weight_type, p.weights_offset, p.bias_offset, op.output.channels,
                        static_cast<uint64_t>(p.kernel_h) * p.kernel_w,
                        op.input.channels / p.groups, WeightStorage{}},
                       op.input, p.post, op.output);
}

INTRT_DEFINE_FAST_KERNEL(conv_transpose2d, conv_transpose2d, convolve_transposed<int8_t, int8_t>)
INTRT_DEFINE_FAST_KERNEL(conv_transpose2d, conv_transpose2d_wide, convolve_wide)
