// What a convolution or linear layer looks like to a fast kernel: its sizes, its weights as the
// plan stores them, and the bands in which its input is read. A linear layer is a convolution of
// one pixel.
#pragma once

#include "intrt/kernels/kernel.h"

namespace intrt {
namespace {  // compiled for a variant's instructions, so nothing may be shared with other files

struct Sizes {
  size_t channels, groups, group_inputs, group_outputs;
  size_t height, width, output_height, output_width;
  size_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  ptrdiff_t top, left;  // padding; negative: so many rows and columns are left out

  // Rows and columns of the input from a window's first tap to its last.
  size_t reach_h() const { return dilation_h * (kernel_h - 1) + 1; }
  size_t reach_w() const { return dilation_w * (kernel_w - 1) + 1; }
  // Input rows and columns under so many windows.
  size_t rows_under(size_t windows) const { return (windows - 1) * stride_h + reach_h(); }
  size_t columns_under(size_t windows) const { return (windows - 1) * stride_w + reach_w(); }
};

inline Sizes sizes_of(const intrt_conv2d_params& p, const intrt_tensor_record& input,
                      const intrt_tensor_record& output) {
  Sizes s = {input.channels,
             p.groups,
             input.channels / p.groups,
             output.channels / p.groups,
             input.height,
             input.width,
             output.height,
             output.width,
             p.kernel_h,
             p.kernel_w,
             p.stride_h,
             p.stride_w,
             p.dilation_h,
             p.dilation_w,
             p.pad_top,
             p.pad_left};
  // A window of one pixel that goes over all pixels does not see where a row ends.
  const bool one_to_one = p.kernel_h == 1 && p.kernel_w == 1 && p.stride_h == 1 &&
                          p.stride_w == 1 && output.height == input.height &&
                          output.width == input.width && p.pad_top == 0 && p.pad_left == 0;
  if (one_to_one) {
    s.width = s.output_width = s.width * s.height;
    s.height = s.output_height = 1;
  }
  return s;
}

inline Sizes sizes_of_linear(const intrt_tensor_record& input, const intrt_tensor_record& output) {
  const size_t inputs = static_cast<size_t>(element_count(input));
  return {inputs, 1, inputs, output.channels, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0};
}

// Weights of 8 or 16 bits as a plan stores them, [O][taps][I].
struct StoredWeights {
  const void* weights;
  uint32_t type;
  const uint8_t* nonzero;  // null: dense
  const uint32_t* starts;
  size_t taps, inputs;

  int32_t weight(size_t i) const {
    return type == INTRT_INT8 ? static_cast<const int8_t*>(weights)[i]
                              : static_cast<const int16_t*>(weights)[i];
  }

  // Goes through those of one output.
  class Row {
   public:
    Row(const StoredWeights& stored, size_t output)
        : stored_(stored),
          next_(stored.nonzero == nullptr ? output * stored.taps * stored.inputs
                                          : stored.starts[output]),
          bits_(stored.nonzero == nullptr
                    ? nullptr
                    : stored.nonzero + output * stored.taps * ((stored.inputs + 7) / 8)) {}

    int32_t next() {
      if (bits_ == nullptr) return stored_.weight(next_++);
      const bool is_there = (bits_[input_ / 8] >> (input_ % 8) & 1) != 0;
      if (++input_ == stored_.inputs) {
        input_ = 0;
        bits_ += (stored_.inputs + 7) / 8;
      }
      return is_there ? stored_.weight(next_++) : 0;
    }

   private:
    const StoredWeights& stored_;
    size_t next_;
    const uint8_t* bits_;
    size_t input_ = 0;
  };
};

template <typename Params>
StoredWeights stored_weights(const intrt_plan& plan, const Params& p, size_t taps, size_t inputs) {
  const bool is_dense = p.nonzero_offset == 0;
  return {plan.bytes + p.weights_offset,
          p.weight_type,
          is_dense ? nullptr : object_at<uint8_t>(plan, p.nonzero_offset),
          is_dense ? nullptr : object_at<uint32_t>(plan, p.starts_offset),
          taps,
          inputs};
}

template <typename T>
inline bool all_zero(const T* numbers, size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (numbers[i] != 0) return false;
  return true;
}

// The most windows of a row, and then rows of them, whose input fits a band of `capacity` codes
// with so many for each column; 0: not even one.
struct BandSize {
  size_t columns, rows;
};
inline BandSize band_size(const Sizes& s, size_t capacity, size_t codes_per_column) {
  const size_t columns = capacity / codes_per_column / s.reach_h();
  if (columns < s.reach_w()) return {0, 0};
  size_t wide = (columns - s.reach_w()) / s.stride_w + 1;
  if (wide > s.output_width) wide = s.output_width;
  const size_t rows = capacity / (codes_per_column * s.columns_under(wide));
  size_t high = (rows - s.reach_h()) / s.stride_h + 1;
  if (high > s.output_height) high = s.output_height;
  return {wide, high};
}

// How a dense convolution is sliced: where its weights are more than what goes in and out, by
// outputs, in sets that are computed at the same time; else by rows or, of one row, by columns, so
// that most of what a core reads is what it wrote in the operator before.
inline bool sliced_by_outputs(const Sizes& s) {
  const size_t outputs = s.groups * s.group_outputs;
  const size_t weights = outputs * s.kernel_h * s.kernel_w * s.group_inputs;
  return weights > s.height * s.width * s.channels + s.output_height * s.output_width * outputs;
}

// A part of the output: rows, columns, sets of outputs.
struct Extent {
  size_t begin, end;
};
struct Part {
  Extent rows, columns, sets;

  explicit Part(const Sizes& s)
      : rows{0, s.output_height}, columns{0, s.output_width}, sets{0, SIZE_MAX} {}
  Part(const Sizes& s, const Slices& slices) : Part(s) {
    (sliced_by_outputs(s)  ? sets
     : s.output_height > 1 ? rows
                           : columns) = {slices.begin, slices.end};
  }
};

// Calls f(oy, rows, ox, columns) for each band of a part.
template <typename F>
inline void for_each_band(const Part& part, const BandSize& size, const F& f) {
  for (size_t oy = part.rows.begin; oy < part.rows.end; oy += size.rows) {
    const size_t rows = size.rows < part.rows.end - oy ? size.rows : part.rows.end - oy;
    for (size_t ox = part.columns.begin; ox < part.columns.end; ox += size.columns) {
      const size_t rest = part.columns.end - ox;
      f(oy, rows, ox, size.columns < rest ? size.columns : rest);
    }
  }
}

// Columns x0 .. x0 + columns of which [0, width) is the input: so many before it, in it, and
// behind.
struct ColumnParts {
  size_t before, inside, after;
  size_t first;  // input column of the first that is inside

  ColumnParts(ptrdiff_t x0, size_t columns, size_t width) {
    const ptrdiff_t end = x0 + static_cast<ptrdiff_t>(columns);
    const ptrdiff_t from = x0 < 0 ? (end < 0 ? end : 0) : x0;
    const ptrdiff_t until =
        end < static_cast<ptrdiff_t>(width) ? end : static_cast<ptrdiff_t>(width);
    before = static_cast<size_t>(from - x0);
    inside = until > from ? static_cast<size_t>(until - from) : 0;
    after = columns - before - inside;
    first = inside == 0 ? 0 : static_cast<size_t>(from);
  }
};

}  // namespace
}  // namespace intrt
