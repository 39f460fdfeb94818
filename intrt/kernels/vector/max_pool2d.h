// The largest code of each window, for 16 channels at a time. Include the variant's vector.h
// before.
#pragma once

#include "intrt/kernels/kernel.h"

namespace intrt {
namespace {

constexpr size_t kChannelsAtOnce = sizeof(Bytes16);

// The others have 16 bits.
bool takes(const OpToPrepare& op) { return op.input.type == INTRT_INT8; }

uint32_t slices(const OpToPrepare& op) { return op.output.height; }
RowSlices row_slices(const OpToPrepare&) { return {1, 1}; }

// A window's taps inside the input.
struct Window {
  const int8_t* codes;  // of the first
  size_t rows, row_step, columns, column_step;
};

int8_t largest_code(const Window& w, size_t channel) {
  int8_t largest = -128;
  for (size_t y = 0; y < w.rows; ++y)
    for (size_t x = 0; x < w.columns; ++x) {
      const int8_t code = w.codes[y * w.row_step + x * w.column_step + channel];
      if (code > largest) largest = code;
    }
  return largest;
}

Bytes16 largest_codes(const Window& w, size_t channel) {
  Bytes16 largest = load_bytes(w.codes + channel);
  for (size_t y = 0; y < w.rows; ++y)
    for (size_t x = 0; x < w.columns; ++x)
      largest = greatest_bytes(largest,
                               load_bytes(w.codes + y * w.row_step + x * w.column_step + channel));
  return largest;
}

void pool(const Window& w, size_t channels, int8_t* output) {
  if (channels < kChannelsAtOnce) {
    for (size_t c = 0; c < channels; ++c) output[c] = largest_code(w, c);
    return;
  }
  size_t c = 0;
  for (; c + kChannelsAtOnce <= channels; c += kChannelsAtOnce)
    store_bytes(output + c, largest_codes(w, c));
  // The last 16, some of them once more.
  c = channels - kChannelsAtOnce;
  if (channels % kChannelsAtOnce != 0) store_bytes(output + c, largest_codes(w, c));
}

void run(const OpToRun& op) {
  const intrt_max_pool2d_params& p = params_of<intrt_max_pool2d_params>(op.record);
  const int8_t* input = static_cast<const int8_t*>(op.input_data);
  const size_t channels = op.input.channels, row = op.input.width * channels;
  int8_t* output =
      static_cast<int8_t*>(op.output_data) + op.slices.begin * (op.output.width * channels);
  const int32_t dilation_h = static_cast<int32_t>(p.dilation_h);
  const int32_t dilation_w = static_cast<int32_t>(p.dilation_w);
  for (uint32_t oy = op.slices.begin; oy < op.slices.end; ++oy) {
    const int32_t y0 = static_cast<int32_t>(oy * p.stride_h) - static_cast<int32_t>(p.pad_top);
    const Taps rows(y0, dilation_h, static_cast<int32_t>(p.kernel_h),
                    static_cast<int32_t>(op.input.height));
    for (uint32_t ox = 0; ox < op.output.width; ++ox, output += channels) {
      const int32_t x0 = static_cast<int32_t>(ox * p.stride_w) - static_cast<int32_t>(p.pad_left);
      const Taps columns(x0, dilation_w, static_cast<int32_t>(p.kernel_w),
                         static_cast<int32_t>(op.input.width));
      pool({input + static_cast<size_t>(y0 + rows.first * dilation_h) * row +
                static_cast<size_t>(x0 + columns.first * dilation_w) * channels,
            static_cast<size_t>(rows.end - rows.first), p.dilation_h * row,
            static_cast<size_t>(columns.end - columns.first), p.dilation_w * channels},
           channels, output);
    }
  }
}

}  // namespace
}  // namespace intrt
