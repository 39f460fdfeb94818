// Convolution whose input channels have several decimals: the segments go one after the other over
// the whole window, and between two of them the sum moves to the finer grid.
#include "intrt/kernels/scalar/convolution.h"

namespace {

using namespace intrt;

template <typename X, typename W>
void convolve(const OpToRun& op) {
  const Convolution conv(op);
  const intrt_conv2d_params& p = conv.p;
  const PostOp post(op, p.post);
  const X* input = static_cast<const X*>(op.input_data);
  const W* weights = object_at<W>(op.plan, p.weights_offset);
  const int32_t* bias = p.bias_offset == 0 ? nullptr : object_at<int32_t>(op.plan, p.bias_offset);
  const intrt_segment* segments = object_at<intrt_segment>(op.plan, p.segments_offset);
  const size_t row_length = p.kernel_h * p.kernel_w * conv.group_inputs;

  size_t element = 0;
  for (uint32_t oy = 0; oy < op.output.height; ++oy) {
    const int32_t y0 = conv.first_row(oy);
    const Taps rows = conv.rows_inside(y0);
    for (uint32_t ox = 0; ox < op.output.width; ++ox) {
      const int32_t x0 = conv.first_column(ox);
      const Taps columns = conv.columns_inside(x0);
      uint32_t group = 0, left_in_group = conv.group_outputs;
      for (uint32_t o = 0; o < op.output.channels; ++o, ++element) {
        if (left_in_group == 0) {
          ++group;
          left_in_group = conv.group_outputs;
        }
        --left_in_group;
        const W* row = weights + o * row_length;
        int32_t acc = 0;
        uint32_t begin = 0;
        for (uint32_t s = 0; s < p.segment_count; begin = segments[s++].end) {
          acc *= static_cast<int32_t>(1) << segments[s].shift;
          for (int32_t ky = rows.first; ky < rows.end; ++ky)
            for (int32_t kx = columns.first; kx < columns.end; ++kx) {
              const size_t tap = static_cast<size_t>(ky) * p.kernel_w + static_cast<size_t>(kx);
              acc += dot(input + conv.element(y0, ky, x0, kx, group) + begin,
                         row + tap * conv.group_inputs + begin, segments[s].end - begin);
            }
        }
        post.store(element, o, acc + (bias == nullptr ? 0 : bias[o]));
      }
    }
  }
}

void convolve_wide(const OpToRun& op) {
  with_wide_segment_types(op.input.type, params_of<intrt_conv2d_params>(op.record).weight_type,
                          [&op](auto x, auto w) { convolve<decltype(x), decltype(w)>(op); });
}

}  // namespace

INTRT_DEFINE_KERNEL(conv2d, conv2d_segments, convolve<int8_t, int8_t>)
INTRT_DEFINE_KERNEL(conv2d, conv2d_segments_wide, convolve_wide)
