#include "compile/backends/c_source/functions.h"

#include <algorithm>

#include "compile/backends/weights.h"
#include "compile/support/error.h"

namespace lockstep::backends {
namespace {

using namespace ir;

// Output channels that may be summed at once: at most as many accumulators as fit Cortex-M's
// registers beside the pointers.
constexpr std::int64_t kBlocks[] = {4, 2, 1};
// Input codes per turn of the innermost loop.
constexpr std::int64_t kUnroll = 4;

std::string_view rounding_function(Rounding rounding) {
  switch (rounding) {
    case Rounding::kTowardZero:
      return "intrt_shift_right_toward_zero";
    case Rounding::kFloor:
      return "intrt_shift_right_floor";
    case Rounding::kHalfEven:
      break;
  }
  return "intrt_shift_right_half_even";
}

std::string_view rounding_macro(Rounding rounding) {
  switch (rounding) {
    case Rounding::kTowardZero:
      return "INTRT_ROUND_TOWARD_ZERO";
    case Rounding::kFloor:
      return "INTRT_ROUND_FLOOR";
    case Rounding::kHalfEven:
      break;
  }
  return "INTRT_ROUND_HALF_EVEN";
}

// One axis of a window: which taps lie inside the input.
struct Axis {
  std::int64_t input, output, kernel, stride, dilation, pad;

  bool cut_before() const { return pad > 0; }
  bool cut_after() const { return (output - 1) * stride - pad + dilation * (kernel - 1) >= input; }
  // Some position has no tap inside the input.
  bool may_be_empty() const {
    for (std::int64_t position = 0; position < output; ++position) {
      bool touches = false;
      for (std::int64_t tap = 0; tap < kernel && !touches; ++tap) {
        const std::int64_t at = position * stride - pad + tap * dilation;
        touches = at >= 0 && at < input;
      }
      if (!touches) return true;
    }
    return false;
  }
};

Axis axis_of(const Window& window, const Shape& in, const Shape& out, std::size_t a) {
  return {a == 0 ? in.h : in.w, a == 0 ? out.h : out.w, window.kernel[a],
          window.stride[a],     window.dilation[a],     window.pad[a]};
}

// Emits one function; its members are what all kinds of op share.
class Function {
 public:
  Function(CText& text, const Program& program, std::size_t index, std::string_view prefix)
      : text_(text),
        op_(program.ops.at(index)),
        in_(program.values.at(op_.input)),
        out_(program.values.at(op_.output)),
        name_(fmt::format("{}_op{}_{}", prefix, index, op_name(op_.kind))),
        keep_(fmt::format("{}_keeps", prefix)) {}

  std::string emit() {
    text_.blank();
    text_.line("/* {} '{}' */", op_name(op_.kind), in_comment(op_.node));
    std::visit([&](const auto& kind) { emit(kind); }, op_.kind);
    return name_;
  }

 private:
  std::string_view in_type() const { return c_type(in_.type()); }
  std::string_view out_type() const { return c_type(out_.type()); }

  void open() {
    text_.line("static void {}(const {} *in, {} *out) {{", name_, in_type(), out_type());
  }

  // ---- what happens to an accumulator ----

  void post_constants(const Post& post) {
    if (post.requantize && post.requantize->shifts.size() > 1)
      text_.array("int8_t", name_ + "_shift",
                  {post.requantize->shifts.begin(), post.requantize->shifts.end()});
    if (!post.mask.empty()) {
      const std::vector<std::uint8_t> bits = pack_mask(post.mask);
      text_.array("uint8_t", name_ + "_mask", {bits.begin(), bits.end()});
    }
  }

  // The C expression for output element `element` of channel `channel`, given its accumulator.
  std::string post_value(const Post& post, std::string acc, const std::string& channel,
                         const std::string& element) const {
    if (post.requantize) {
      const Requantize& r = *post.requantize;
      const bool right =
          std::all_of(r.shifts.begin(), r.shifts.end(), [](int s) { return s >= 0; });
      const std::string shift = r.shifts.size() == 1 ? fmt::format("{}", r.shifts[0])
                                                     : fmt::format("{}_shift[{}]", name_, channel);
      if (r.shifts.size() == 1 && r.shifts[0] == 0)
        acc = fmt::format("intrt_clamp({}, {}, {})", acc, c_integer(r.lo), c_integer(r.hi));
      else if (right)
        acc = fmt::format("intrt_clamp({}({}, {}), {}, {})", rounding_function(r.rounding), acc,
                          shift, c_integer(r.lo), c_integer(r.hi));
      else
        acc = fmt::format("intrt_requantize({}, {}, {}, {}, {})", acc, shift,
                          rounding_macro(r.rounding), c_integer(r.lo), c_integer(r.hi));
    }
    if (!post.mask.empty())
      acc = fmt::format("({}({}_mask, {}) ? {} : 0)", keep_, name_, element, acc);
    return fmt::format("({}){}", out_type(), acc);
  }

  // ---- windows ----

  // Declares NAME0 (where the window starts), and NAME_first and NAME_end, the taps inside the
  // input.
  void clip(const Axis& axis, std::string_view name) {
    text_.line("const int32_t {}0 = {}{};", name, times(name, axis.stride),
               axis.pad == 0 ? "" : fmt::format(" - {}", axis.pad));
    const auto up = [&](const std::string& distance) {
      return axis.dilation == 1
                 ? distance
                 : fmt::format("({} + {}) / {}", distance, axis.dilation - 1, axis.dilation);
    };
    if (axis.cut_before())
      text_.line("const int32_t {0}_first = {0}0 < 0 ? {1} : 0;", name,
                 up(fmt::format("-{}0", name)));
    if (axis.cut_after()) {
      const std::string room = up(fmt::format("({} - {}0)", axis.input, name));
      text_.line("const int32_t {0}_end = {1} < {2} ? {1} : {2};", name, room, axis.kernel);
    }
  }
  static std::string first_tap(const Axis& axis, std::string_view name) {
    return axis.cut_before() ? fmt::format("{}_first", name) : "0";
  }
  static std::string end_tap(const Axis& axis, std::string_view name) {
    return axis.cut_after() ? fmt::format("{}_end", name) : fmt::format("{}", axis.kernel);
  }

  // The input position, counted through rows, of tap (ky, kx) of the window at (y0, x0).
  std::string window_position(const Axis& rows, const Axis& columns, const std::string& ky,
                              const std::string& kx) const {
    return plus(times(plus("y0", times(ky, rows.dilation)), in_.shape.w),
                plus("x0", times(kx, columns.dilation)));
  }

  // ---- sums ----

  // A wide block loads each input code for several channels at once, but has to be summed when the
  // mask keeps any of them. A block of w channels takes about 2 + 2w instructions for each input
  // code.
  std::int64_t choose_block(const std::vector<std::uint8_t>& mask,
                            std::int64_t outputs_per_group) const {
    if (mask.empty()) return kBlocks[0];
    const std::int64_t outputs = out_.shape.c;
    std::int64_t best = 0, best_cost = 0;
    for (const std::int64_t block : kBlocks) {
      std::int64_t cost = 0;
      for (std::int64_t i = 0, width = 0; i < out_.shape.count(); i += width) {
        const std::int64_t in_group = i % outputs % outputs_per_group;
        width = std::min(block, outputs_per_group - in_group);
        const auto first = mask.begin() + i;
        if (std::count(first, first + width, 1) > 0) cost += 2 + 2 * width;
      }
      if (best == 0 || cost < best_cost) {
        best = block;
        best_cost = cost;
      }
    }
    return best;
  }

  // Weights [O][row] become blocks of up to block_ output channels of one group, [row][channel in
  // block]; the block that starts at output channel o starts at o * row.
  void sum_constants(const xt::xarray<std::int32_t>& weights, const std::vector<std::int64_t>& bias,
                     const Post& post, std::int64_t outputs_per_group) {
    block_ = choose_block(post.mask, outputs_per_group);
    const auto outputs = static_cast<std::int64_t>(weights.shape(0));
    const std::int64_t row = static_cast<std::int64_t>(weights.size()) / outputs;
    std::vector<std::int64_t> ordered;
    ordered.reserve(weights.size());
    for (std::int64_t o = 0; o < outputs;) {
      const std::int64_t width = std::min(block_, outputs_per_group - o % outputs_per_group);
      for (std::int64_t k = 0; k < row; ++k)
        for (std::int64_t j = 0; j < width; ++j)
          ordered.push_back(weights.data()[(o + j) * row + k]);
      o += width;
    }
    text_.array(c_type(weight_type(weights)), name_ + "_weight", ordered);
    if (!bias.empty()) text_.array("int32_t", name_ + "_bias", bias);
    weight_type_ = c_type(weight_type(weights));
    has_bias_ = !bias.empty();
  }

  void start_accumulators(std::int64_t width) {
    for (std::int64_t j = 0; j < width; ++j)
      text_.line("int32_t acc{} = {};", j,
                 has_bias_ ? fmt::format("{}_bias[{}]", name_, element_of("0", j)) : "0");
  }

  // acc0.. += the products of `count` codes from p and `count` * width weights from w.
  void add_products(std::int64_t count, std::int64_t width) {
    const std::int64_t full = count / kUnroll;
    if (full > 1) {
      text_.line("for (int32_t n = {}; n > 0; --n) {{", full);
      add_unrolled(kUnroll, width);
      text_.line("p += {};", kUnroll);
      text_.line("w += {};", kUnroll * width);
      text_.line("}}");
      count -= full * kUnroll;
    }
    add_unrolled(count, width);
  }
  void add_products(const std::string& count, std::int64_t width) {
    text_.line("for (int32_t n = {}; n > 0; --n) {{", count);
    add_unrolled(1, width);
    text_.line("p += 1;");
    text_.line("w += {};", width);
    text_.line("}}");
  }
  void add_unrolled(std::int64_t count, std::int64_t width) {
    for (std::int64_t k = 0; k < count; ++k)
      for (std::int64_t j = 0; j < width; ++j)
        text_.line("acc{} += (int32_t)p[{}] * w[{}];", j, k, k * width + j);
  }

  static std::string element_of(std::string_view base, std::int64_t j) {
    return plus(base, plus("o", fmt::format("{}", j)));
  }

  // Around the sums of a block: only when the mask keeps one of its elements.
  void open_if_kept(const Post& post, std::int64_t width, const std::string& base) {
    if (post.mask.empty()) return;
    std::string condition;
    for (std::int64_t j = 0; j < width; ++j)
      condition +=
          fmt::format("{}{}({}_mask, {})", j == 0 ? "" : " || ", keep_, name_, element_of(base, j));
    text_.line("if ({}) {{", condition);
  }
  void close_if_kept(const Post& post, std::int64_t width, const std::string& base) {
    if (post.mask.empty()) return;
    text_.line("}} else {{");
    for (std::int64_t j = 0; j < width; ++j) text_.line("out[{}] = 0;", element_of(base, j));
    text_.line("}}");
  }

  void store(const Post& post, std::int64_t width, const std::string& base) {
    const Post unmasked{.requantize = post.requantize, .mask = {}};
    for (std::int64_t j = 0; j < width; ++j)
      text_.line("out[{}] = {};", element_of(base, j),
                 post_value(width == 1 ? unmasked : post, fmt::format("acc{}", j),
                            element_of("0", j), element_of(base, j)));
  }

  // Runs `body(width)` with the C variable o at each block of the output channels from `begin` to
  // `end`.
  template <typename Body>
  void for_each_block(std::int64_t begin, std::int64_t end, Body&& body) {
    const std::int64_t full = (end - begin) / block_ * block_;
    if (full > 0) {
      text_.line("for (int32_t o = {}; o < {}; o += {}) {{", begin, begin + full, block_);
      body(block_);
      text_.line("}}");
    }
    if (begin + full < end) {
      text_.line("{{");
      text_.line("const int32_t o = {};", begin + full);
      body(end - begin - full);
      text_.line("}}");
    }
  }

  void emit(const Conv2d& conv) {
    const std::int64_t outputs_per_group = out_.shape.c / conv.groups;
    const std::int64_t inputs = in_.shape.c / conv.groups;
    const Axis rows = axis_of(conv.window, in_.shape, out_.shape, 0);
    const Axis columns = axis_of(conv.window, in_.shape, out_.shape, 1);
    sum_constants(conv.weights, conv.bias, conv.post, outputs_per_group);
    post_constants(conv.post);
    open();
    text_.line("for (int32_t y = 0; y < {}; ++y) {{", rows.output);
    clip(rows, "y");
    text_.line("for (int32_t x = 0; x < {}; ++x) {{", columns.output);
    clip(columns, "x");
    text_.line("const int32_t element = (y * {} + x) * {};", columns.output, out_.shape.c);
    for (std::int64_t g = 0; g < conv.groups; ++g)
      for_each_block(g * outputs_per_group, (g + 1) * outputs_per_group, [&](std::int64_t width) {
        open_if_kept(conv.post, width, "element");
        start_accumulators(width);
        if (columns.may_be_empty())
          text_.line("if ({} < {}) {{", first_tap(columns, "x"), end_tap(columns, "x"));
        text_.line("for (int32_t ky = {}; ky < {}; ++ky) {{", first_tap(rows, "y"),
                   end_tap(rows, "y"));
        window_row(conv, rows, columns, g * inputs, inputs, width);
        text_.line("}}");
        if (columns.may_be_empty()) text_.line("}}");
        store(conv.post, width, "element");
        close_if_kept(conv.post, width, "element");
      });
    text_.line("}}");
    text_.line("}}");
    text_.line("}}");
  }

  // The products of one row of the window.
  void window_row(const Conv2d& conv, const Axis& rows, const Axis& columns,
                  std::int64_t first_input, std::int64_t inputs, std::int64_t width) {
    const std::int64_t row_length = rows.kernel * columns.kernel * inputs;
    const std::string first = first_tap(columns, "x"), end = end_tap(columns, "x");
    const auto pointers = [&](const std::string& kx) {
      text_.line("const {} *p = {};", in_type(),
                 plus("in", plus(times(window_position(rows, columns, "ky", kx), in_.shape.c),
                                 fmt::format("{}", first_input))));
      const std::string tap = plus(times("ky", columns.kernel), kx);
      text_.line("const {} *w = {};", weight_type_,
                 plus(name_ + "_weight", plus(times("o", row_length), times(tap, inputs * width))));
    };
    if (conv.groups == 1 && columns.dilation == 1) {  // the taps lie side by side
      pointers(first);
      const bool cut = columns.cut_before() || columns.cut_after();
      if (cut)
        add_products(fmt::format("({} - {}) * {}", end, first, inputs), width);
      else
        add_products(columns.kernel * inputs, width);
      return;
    }
    text_.line("for (int32_t kx = {}; kx < {}; ++kx) {{", first, end);
    pointers("kx");
    add_products(inputs, width);
    text_.line("}}");
  }

  void emit(const Linear& linear) {
    const std::int64_t inputs = in_.shape.count();
    sum_constants(linear.weights, linear.bias, linear.post, out_.shape.c);
    post_constants(linear.post);
    open();
    for_each_block(0, out_.shape.c, [&](std::int64_t width) {
      open_if_kept(linear.post, width, "0");
      start_accumulators(width);
      text_.line("const {} *p = in;", in_type());
      text_.line("const {} *w = {}_weight + o * {};", weight_type_, name_, inputs);
      add_products(inputs, width);
      store(linear.post, width, "0");
      close_if_kept(linear.post, width, "0");
    });
    text_.line("}}");
  }

  void emit(const MaxPool2d& pool) {
    const Axis rows = axis_of(pool.window, in_.shape, out_.shape, 0);
    const Axis columns = axis_of(pool.window, in_.shape, out_.shape, 1);
    const auto index = [&](const std::string& ky, const std::string& kx) {
      return plus(times(window_position(rows, columns, ky, kx), in_.shape.c), "c");
    };
    open();
    text_.line("for (int32_t y = 0; y < {}; ++y) {{", rows.output);
    clip(rows, "y");
    text_.line("for (int32_t x = 0; x < {}; ++x) {{", columns.output);
    clip(columns, "x");
    text_.line("for (int32_t c = 0; c < {}; ++c) {{", in_.shape.c);
    text_.line("{} largest = in[{}];", in_type(),
               index(first_tap(rows, "y"), first_tap(columns, "x")));
    text_.line("for (int32_t ky = {}; ky < {}; ++ky) {{", first_tap(rows, "y"), end_tap(rows, "y"));
    text_.line("for (int32_t kx = {}; kx < {}; ++kx) {{", first_tap(columns, "x"),
               end_tap(columns, "x"));
    text_.line("const {} code = in[{}];", in_type(), index("ky", "kx"));
    text_.line("if (code > largest) largest = code;");
    text_.line("}}");
    text_.line("}}");
    text_.line("out[(y * {} + x) * {} + c] = largest;", columns.output, in_.shape.c);
    text_.line("}}");
    text_.line("}}");
    text_.line("}}");
    text_.line("}}");
  }

  void emit(const RequantizeOp& requantize) {
    const Post& post = requantize.post;
    post_constants(post);
    open();
    if (!post.requantize || post.requantize->shifts.size() == 1) {
      text_.line("for (int32_t i = 0; i < {}; ++i) {{", out_.shape.count());
      text_.line("out[i] = {};", post_value(post, "in[i]", "", "i"));
      text_.line("}}");
    } else {
      text_.line("for (int32_t i = 0; i < {}; i += {}) {{", out_.shape.count(), out_.shape.c);
      text_.line("for (int32_t c = 0; c < {}; ++c) {{", out_.shape.c);
      text_.line("out[i + c] = {};", post_value(post, "in[i + c]", "c", "i + c"));
      text_.line("}}");
      text_.line("}}");
    }
    text_.line("}}");
  }

  void emit(const Flatten&) { LOCKSTEP_ASSERT(false); }

  void emit(const Transpose&) {
    const std::int64_t positions = in_.shape.h * in_.shape.w;
    open();
    text_.line("for (int32_t c = 0; c < {}; ++c) {{", in_.shape.c);
    text_.line("for (int32_t i = 0; i < {}; ++i) {{", positions);
    text_.line("out[c * {} + i] = in[i * {} + c];", positions, in_.shape.c);
    text_.line("}}");
    text_.line("}}");
    text_.line("}}");
  }

  CText& text_;
  const Op& op_;
  const Value& in_;
  const Value& out_;
  std::string name_, keep_;
  std::string_view weight_type_;
  std::int64_t block_ = 0;
  bool has_bias_ = false;
};

}  // namespace

std::string emit_function(CText& text, const Program& program, std::size_t op_index,
                          std::string_view prefix) {
  return Function(text, program, op_index, prefix).emit();
}

}  // namespace lockstep::backends
