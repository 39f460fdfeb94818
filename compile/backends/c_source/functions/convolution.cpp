// Linear operators: a convolution gathers the taps of its window that lie inside the input; the
// transpose of a convolution gathers the taps that reach its output position.
#include <numeric>

#include "compile/backends/c_source/functions/axis.h"
#include "compile/backends/c_source/functions/families.h"
#include "compile/backends/c_source/functions/sparse.h"
#include "compile/backends/c_source/functions/sums.h"

namespace lockstep::backends {
namespace {

using namespace ir;

// How the channels of a convolution meet. Groups of one input and one output channel (a depthwise
// convolution) count as one group whose channels are summed side by side, each from its own code.
struct Grouping {
  std::int64_t groups, inputs, outputs;  // inputs and outputs of one group
  bool depthwise;

  // The first input channel that a block reads, for the group `g` and the output channel o.
  std::string first_input(const std::string& g) const { return depthwise ? "o" : times(g, inputs); }
};

Grouping grouping_of(std::int64_t groups, std::int64_t in_channels, std::int64_t out_channels) {
  if (groups > 1 && groups == in_channels && groups == out_channels)
    return {1, 1, out_channels, true};
  return {groups, in_channels / groups, out_channels / groups, false};
}

class Convolution : public Sums {
 public:
  Convolution(const FunctionPlace& place, const Conv2d& conv)
      : Sums(place.text, place.program, place.op_index, place.prefix),
        conv_(conv),
        rows_(axis_of(conv.window, in().shape, out_.shape, 0)),
        columns_(axis_of(conv.window, in().shape, out_.shape, 1)),
        channels_(grouping_of(conv.groups, in().shape.c, out_.shape.c)) {}

  FunctionCall emit() {
    choose_block(conv_.post.mask, channels_.outputs);
    sum_constants(conv_, channels_.outputs);
    open();
    text_.line("for (int32_t y = 0; y < {}; ++y) {{", rows_.output);
    rows_.clip(text_, "y");
    text_.line("for (int32_t x = 0; x < {}; ++x) {{", columns_.output);
    columns_.clip(text_, "x");
    text_.line("const int32_t element = {};",
               times(plus(times("y", columns_.output), "x"), out_.shape.c));
    for_each_group(channels_.groups, channels_.outputs,
                   [&](const std::string& begin, const std::string& group) {
                     for_each_block(begin, channels_.outputs, [&](std::int64_t width) {
                       block(channels_.first_input(group), width);
                     });
                   });
    text_.line("}}");
    text_.line("}}");
    text_.line("}}");
    return call();
  }

 private:
  void block(const std::string& first_input, std::int64_t width) {
    open_if_kept(conv_.post, width, "element");
    for_each_segment(
        conv_.segments, channels_.inputs, width,
        [&](std::int64_t begin, std::int64_t count) { window(first_input, width, begin, count); });
    store(conv_.post, width, "element");
    close_if_kept(conv_.post, width, "element");
  }

  // The products of the input channels begin .. begin + count - 1 of a group.
  void window(const std::string& first_input, std::int64_t width, std::int64_t begin,
              std::int64_t count) {
    if (columns_.may_be_empty())
      text_.line("if ({} < {}) {{", columns_.first_tap("x"), columns_.end_tap("x"));
    text_.line("for (int32_t ky = {}; ky < {}; ++ky) {{", rows_.first_tap("y"), rows_.end_tap("y"));
    window_row(first_input, width, begin, count);
    text_.line("}}");
    if (columns_.may_be_empty()) text_.line("}}");
  }

  // The same of one row of the window.
  void window_row(const std::string& first_input, std::int64_t width, std::int64_t begin,
                  std::int64_t count) {
    const std::int64_t inputs = channels_.inputs;
    const std::int64_t row_length = rows_.kernel * columns_.kernel * inputs;
    const std::string first = columns_.first_tap("x"), end = columns_.end_tap("x");
    const auto pointers = [&](const std::string& kx) {
      text_.line("const {} *p = {};", in_type(),
                 address("in", plus(times(window_position(rows_, columns_, "ky", kx), in().shape.c),
                                    plus(first_input, begin))));
      const std::string tap = plus(times("ky", columns_.kernel), kx);
      text_.line("const {} *w = {};", weight_type_,
                 address(name_ + "_weight", plus(times("o", row_length),
                                                 plus(times(tap, inputs * width), begin * width))));
    };
    // The taps lie side by side.
    if (conv_.groups == 1 && columns_.dilation == 1 && count == inputs) {
      pointers(first);
      if (columns_.cut_before() || columns_.cut_after())
        add_products(fmt::format("({} - {}) * {}", end, first, inputs), width);
      else
        add_products(columns_.kernel * inputs, width);
      return;
    }
    text_.line("for (int32_t kx = {}; kx < {}; ++kx) {{", first, end);
    pointers("kx");
    if (channels_.depthwise)
      add_lanes(width);
    else
      add_products(count, width);
    text_.line("}}");
  }

  const Conv2d& conv_;
  const Axis rows_, columns_;
  const Grouping channels_;
};

// One axis of a transposed convolution. Of the taps that reach an output position, the first has
// the number `tap` and meets the input at `at`; each next one is `tap_step` further and meets the
// input `at_step` before.
struct ReachingTaps {
  std::vector<std::int64_t> at, tap, count;  // per output position
  std::int64_t at_step = 0, tap_step = 0;
};

ReachingTaps reaching_taps(const ConvTranspose2d& conv, std::size_t axis, std::int64_t input,
                           std::int64_t output) {
  const std::int64_t stride = conv.stride[axis], dilation = conv.dilation[axis];
  ReachingTaps result;
  // tap * dilation must keep its remainder by stride.
  result.tap_step = stride / std::gcd(stride, dilation);
  result.at_step = dilation / std::gcd(stride, dilation);
  for (std::int64_t position = 0; position < output; ++position) {
    std::int64_t at = 0, first = 0, count = 0;
    for (std::int64_t tap = 0; tap < conv.kernel[axis]; ++tap) {
      const std::int64_t distance = position + conv.pad[axis] - tap * dilation;
      if (distance < 0 || distance % stride != 0 || distance / stride >= input) continue;
      if (count++ == 0) {
        at = distance / stride;
        first = tap;
      }
    }
    result.at.push_back(at);
    result.tap.push_back(first);
    result.count.push_back(count);
  }
  return result;
}

class TransposedConvolution : public Sums {
 public:
  TransposedConvolution(const FunctionPlace& place, const ConvTranspose2d& conv)
      : Sums(place.text, place.program, place.op_index, place.prefix),
        conv_(conv),
        channels_(grouping_of(conv.groups, in().shape.c, out_.shape.c)) {}

  FunctionCall emit() {
    choose_block(conv_.post.mask, channels_.outputs);
    sum_constants(conv_, channels_.outputs);
    const Walk rows = walk(0), columns = walk(1);
    open();
    text_.line("for (int32_t y = 0; y < {}; ++y) {{", out_.shape.h);
    text_.line("for (int32_t x = 0; x < {}; ++x) {{", out_.shape.w);
    text_.line("const int32_t element = {};",
               times(plus(times("y", out_.shape.w), "x"), out_.shape.c));
    for_each_group(channels_.groups, channels_.outputs,
                   [&](const std::string& begin, const std::string& group) {
                     for_each_block(begin, channels_.outputs, [&](std::int64_t width) {
                       block(rows, columns, channels_.first_input(group), width);
                     });
                   });
    text_.line("}}");
    text_.line("}}");
    text_.line("}}");
    return call();
  }

 private:
  // C expressions of the first tap that reaches a row or column: where it finds its codes and its
  // weights, in elements (weights of one channel), and how many taps there are.
  struct Walk {
    std::string at, tap, count;
    std::int64_t at_step, tap_step;
  };

  Walk walk(std::size_t axis) {
    const bool is_row = axis == 0;
    const Shape& shape = in().shape;
    ReachingTaps taps = reaching_taps(conv_, axis, is_row ? shape.h : shape.w,
                                      is_row ? out_.shape.h : out_.shape.w);
    const std::int64_t at_size = is_row ? shape.w * shape.c : shape.c;
    const std::int64_t tap_size = is_row ? conv_.kernel[1] * channels_.inputs : channels_.inputs;
    for (std::int64_t& at : taps.at) at *= at_size;
    for (std::int64_t& tap : taps.tap) tap *= tap_size;
    const std::string_view index = is_row ? "y" : "x", name = is_row ? "row" : "column";
    return {constant(fmt::format("{}_at", name), taps.at, index),
            constant(fmt::format("{}_tap", name), taps.tap, index),
            constant(fmt::format("{}_count", name), taps.count, index), taps.at_step * at_size,
            taps.tap_step * tap_size};
  }

  // A loop over the taps of one axis.
  void open_walk(const Walk& walk, std::string_view name) {
    text_.line("int32_t {0}_at = {1}, {0}_tap = {2};", name, walk.at, walk.tap);
    text_.line("for (int32_t {0}_left = {1}; {0}_left > 0; --{0}_left) {{", name, walk.count);
  }
  void close_walk(const Walk& walk, std::string_view name) {
    text_.line("{}_at -= {};", name, walk.at_step);
    text_.line("{}_tap += {};", name, walk.tap_step);
    text_.line("}}");
  }

  void block(const Walk& rows, const Walk& columns, const std::string& first_input,
             std::int64_t width) {
    const std::int64_t row_length = conv_.kernel[0] * conv_.kernel[1] * channels_.inputs;
    open_if_kept(conv_.post, width, "element");
    start_accumulators(width);
    open_walk(rows, "row");
    open_walk(columns, "column");
    text_.line("const {} *p = {};", in_type(),
               address("in", plus("row_at + column_at", first_input)));
    text_.line("const {} *w = {};", weight_type_,
               address(name_ + "_weight",
                       plus(times("o", row_length), times("row_tap + column_tap", width))));
    if (channels_.depthwise)
      add_lanes(width);
    else
      add_products(channels_.inputs, width);
    close_walk(columns, "column");
    close_walk(rows, "row");
    store(conv_.post, width, "element");
    close_if_kept(conv_.post, width, "element");
  }

  const ConvTranspose2d& conv_;
  const Grouping channels_;
};

class Linears : public Sums {
 public:
  Linears(const FunctionPlace& place, const Linear& linear)
      : Sums(place.text, place.program, place.op_index, place.prefix), linear_(linear) {}

  FunctionCall emit() {
    choose_block(linear_.post.mask, out_.shape.c);
    sum_constants(linear_, out_.shape.c);
    open();
    for_each_block("0", out_.shape.c, [&](std::int64_t width) {
      open_if_kept(linear_.post, width, "0");
      for_each_segment(
          linear_.segments, in().shape.c, width,
          [&](std::int64_t begin, std::int64_t count) { products(begin, count, width); });
      store(linear_.post, width, "0");
      close_if_kept(linear_.post, width, "0");
    });
    text_.line("}}");
    return call();
  }

 private:
  // Of the input channels begin .. begin + count - 1 at all places of the input.
  void products(std::int64_t begin, std::int64_t count, std::int64_t width) {
    const Shape& shape = in().shape;
    const bool all = count == shape.c;
    if (!all)
      text_.line("for (int32_t at = {}; at < {}; at += {}) {{", begin, shape.count(), shape.c);
    const std::string first = all ? "0" : "at";
    text_.line("const {} *p = {};", in_type(), address("in", first));
    text_.line("const {} *w = {};", weight_type_,
               address(name_ + "_weight", plus(times("o", shape.count()), times(first, width))));
    add_products(all ? shape.count() : count, width);
    if (!all) text_.line("}}");
  }

  const Linear& linear_;
};

}  // namespace

FunctionCalls emit_kind(const FunctionPlace& place, const Conv2d& conv) {
  if (conv.sparse) return emit_sparse(place, conv);
  return {Convolution(place, conv).emit()};
}

FunctionCalls emit_kind(const FunctionPlace& place, const ConvTranspose2d& conv) {
  return {TransposedConvolution(place, conv).emit()};
}

FunctionCalls emit_kind(const FunctionPlace& place, const Linear& linear) {
  if (linear.sparse) return emit_sparse(place, linear);
  return {Linears(place, linear).emit()};
}

}  // namespace lockstep::backends
