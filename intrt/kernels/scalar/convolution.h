// What the ways to store a convolution's weights share: where a window meets the input.
#pragma once

#include "intrt/kernels/kernel.h"

namespace intrt {

// Sizes of one convolution.
struct Convolution {
  const intrt_conv2d_params& p;
  size_t channels, group_inputs, input_width;
  uint32_t group_outputs;
  int32_t height, width, kernel_h, kernel_w, dilation_h, dilation_w;
  bool contiguous;  // the products of a window's row lie side by side

  explicit Convolution(const OpToRun& op)
      : p(params_of<intrt_conv2d_params>(op.record)),
        channels(op.input.channels),
        group_inputs(channels / p.groups),
        input_width(op.input.width),
        group_outputs(op.output.channels / p.groups),
        height(static_cast<int32_t>(op.input.height)),
        width(static_cast<int32_t>(op.input.width)),
        kernel_h(static_cast<int32_t>(p.kernel_h)),
        kernel_w(static_cast<int32_t>(p.kernel_w)),
        dilation_h(static_cast<int32_t>(p.dilation_h)),
        dilation_w(static_cast<int32_t>(p.dilation_w)),
        contiguous(p.groups == 1 && p.dilation_w == 1) {}

  // Position of tap 0 of the window of an output row or column.
  int32_t first_row(uint32_t oy) const {
    return static_cast<int32_t>(oy * p.stride_h) - static_cast<int32_t>(p.pad_top);
  }
  int32_t first_column(uint32_t ox) const {
    return static_cast<int32_t>(ox * p.stride_w) - static_cast<int32_t>(p.pad_left);
  }
  Taps rows_inside(int32_t y0) const { return Taps(y0, dilation_h, kernel_h, height); }
  Taps columns_inside(int32_t x0) const { return Taps(x0, dilation_w, kernel_w, width); }

  // The first input element of a group that tap (ky, kx) meets; both taps lie inside.
  size_t element(int32_t y0, int32_t ky, int32_t x0, int32_t kx, uint32_t group) const {
    const size_t y = static_cast<size_t>(y0 + ky * dilation_h);
    const size_t x = static_cast<size_t>(x0 + kx * dilation_w);
    return (y * input_width + x) * channels + group * group_inputs;
  }
};

// Numbers of the taps that lie inside, 0 where there are none.
inline size_t count(const Taps& taps) {
  return taps.end > taps.first ? static_cast<size_t>(taps.end - taps.first) : 0;
}

}  // namespace intrt
