// The largest code of each window, for 16 channels at a time or, of fewer, 16 codes of several.
// Include the variant's vector.h before.
#pragma once

#include "intrt/kernels/vector/geometry.h"

namespace intrt {
namespace {

constexpr size_t kCodesAtOnce = sizeof(Bytes16);
// Of columns that are put aside.
constexpr size_t kColumnBytes = 4096;

// The others have 16 bits.
bool takes(const OpToPrepare& op) { return op.input.type == INTRT_INT8; }

uint32_t slices(const OpToPrepare& op) { return op.output.height; }
RowSlices row_slices(const OpToPrepare&) { return {1, 1}; }

// The largest of codes that lie in `rows` rows and in `columns` columns, all of them inside the
// input.
struct Window {
  const int8_t* codes;  // of the first tap
  size_t rows, row_step, columns, column_step;

  int8_t largest_code(size_t i) const {
    int8_t largest = -128;
    for (size_t y = 0; y < rows; ++y)
      for (size_t x = 0; x < columns; ++x) {
        const int8_t code = codes[y * row_step + x * column_step + i];
        if (code > largest) largest = code;
      }
    return largest;
  }
  Bytes16 largest_codes(size_t i) const {
    Bytes16 largest = load_bytes(codes + i);
    for (size_t y = 0; y < rows; ++y)
      for (size_t x = 0; x < columns; ++x)
        largest = greatest_bytes(largest, load_bytes(codes + y * row_step + x * column_step + i));
    return largest;
  }
};

// Of `count` windows that begin one byte after the other.
void store_largest(const Window window, size_t count, int8_t* output) {
  size_t i = 0;
  for (; i + kCodesAtOnce <= count; i += kCodesAtOnce)
    store_bytes(output + i, window.largest_codes(i));
  if (i == count) return;
  if (count >= kCodesAtOnce) {  // the last 16, some of them once more
    i = count - kCodesAtOnce;
    store_bytes(output + i, window.largest_codes(i));
  } else {
    for (; i < count; ++i) output[i] = window.largest_code(i);
  }
}

// One row of windows: its input with the taps of their rows inside.
struct PoolRow {
  const Sizes& s;
  const int8_t* input;  // of the first row
  size_t rows, row_step;

  Window window(size_t first_column, size_t columns) const {
    return {input + first_column * s.channels, rows, row_step, columns, s.dilation_w * s.channels};
  }

  // The windows from ox on, one by one.
  void store(size_t ox, size_t windows, int8_t* output) const {
    for (; windows > 0; --windows, ++ox, output += s.channels) {
      const int32_t x0 = static_cast<int32_t>(ox * s.stride_w) - static_cast<int32_t>(s.left);
      const int32_t dilation = static_cast<int32_t>(s.dilation_w);
      const Taps taps(x0, dilation, static_cast<int32_t>(s.kernel_w),
                      static_cast<int32_t>(s.width));
      store_largest(window(static_cast<size_t>(x0 + taps.first * dilation),
                           static_cast<size_t>(taps.end - taps.first)),
                    s.channels, output);
    }
  }

  // Of fewer channels than a register holds: the largest of each column first, then of some
  // columns.
  void store_narrow(size_t ox, size_t windows, int8_t* output) const {
    int8_t columns[kColumnBytes + kCodesAtOnce], codes[kColumnBytes + kCodesAtOnce];
    const ColumnParts parts(static_cast<ptrdiff_t>(ox * s.stride_w) - s.left,
                            s.columns_under(windows), s.width);
    const size_t before = parts.before * s.channels, inside = parts.inside * s.channels;
    const size_t behind = parts.after * s.channels + kCodesAtOnce;
    for (size_t i = 0; i < before; ++i) columns[i] = -128;
    store_largest(window(parts.first, 1), inside, columns + before);
    for (size_t i = 0; i < behind; ++i) columns[before + inside + i] = -128;
    for (size_t i = 0; i < windows; ++i) {
      const Window of_columns = {columns + i * s.stride_w * s.channels, 1, 0, s.kernel_w,
                                 s.dilation_w * s.channels};
      store_bytes(codes + i * s.channels, of_columns.largest_codes(0));
    }
    const size_t count = windows * s.channels;
    for (size_t i = 0; i < count; ++i) output[i] = codes[i];
  }

  // How many windows store_narrow takes; 0: none, or it would look at many columns for few taps.
  static size_t narrow_windows(const Sizes& s) {
    if (s.channels >= kCodesAtOnce) return 0;
    const size_t columns = kColumnBytes / s.channels;
    if (columns < s.reach_w()) return 0;
    const size_t windows = (columns - s.reach_w()) / s.stride_w + 1;
    const size_t now = windows < s.output_width ? windows : s.output_width;
    return s.columns_under(now) * s.channels <= kCodesAtOnce * now * s.kernel_w ? windows : 0;
  }
};

Sizes sizes_of_pool(const intrt_max_pool2d_params& p, const OpToRun& op) {
  return {op.input.channels, 1,
          op.input.channels, op.input.channels,
          op.input.height,   op.input.width,
          op.output.height,  op.output.width,
          p.kernel_h,        p.kernel_w,
          p.stride_h,        p.stride_w,
          p.dilation_h,      p.dilation_w,
          p.pad_top,         p.pad_left};
}

void run(const OpToRun& op) {
  const Sizes s = sizes_of_pool(params_of<intrt_max_pool2d_params>(op.record), op);
  const int8_t* input = static_cast<const int8_t*>(op.input_data);
  const size_t row = s.width * s.channels, narrow = PoolRow::narrow_windows(s);
  int8_t* output =
      static_cast<int8_t*>(op.output_data) + op.slices.begin * (s.output_width * s.channels);
  const int32_t dilation = static_cast<int32_t>(s.dilation_h);
  for (uint32_t oy = op.slices.begin; oy < op.slices.end; ++oy) {
    const int32_t y0 = static_cast<int32_t>(oy * s.stride_h) - static_cast<int32_t>(s.top);
    const Taps taps(y0, dilation, static_cast<int32_t>(s.kernel_h), static_cast<int32_t>(s.height));
    const PoolRow windows = {s, input + static_cast<size_t>(y0 + taps.first * dilation) * row,
                             static_cast<size_t>(taps.end - taps.first), s.dilation_h * row};
    for (size_t ox = 0, now; ox < s.output_width; ox += now, output += now * s.channels) {
      now = s.output_width - ox;
      if (narrow == 0) {
        windows.store(ox, now, output);
      } else {
        if (now > narrow) now = narrow;
        windows.store_narrow(ox, now, output);
      }
    }
  }
}

}  // namespace
}  // namespace intrt
