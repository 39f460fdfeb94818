// Convolutions and linear operators with sparse weights, stored as in a plan: the code goes from
// bit to bit, one output channel after the other. Taps in the padding are passed over by counting
// their bits.
#include "compile/backends/c_source/functions/sparse.h"

#include "compile/backends/c_source/functions/axis.h"
#include "compile/backends/c_source/functions/sums.h"
#include "compile/backends/weights.h"

namespace lockstep::backends {
namespace {

using namespace ir;

class Sparse : public Sums {
 protected:
  Sparse(const FunctionPlace& place)
      : Sums(place.text, place.program, place.op_index, place.prefix),
        lowest_(fmt::format("{}_lowest", place.prefix)),
        count_(fmt::format("{}_count", place.prefix)) {}

  template <typename Kind>
  void sparse_constants(const Kind& kind) {
    wide_ = kind.wide;
    const SparseWeights sparse = sparse_weights(kind.weights);
    std::vector<std::int64_t> values(sparse.values.begin(), sparse.values.end());
    if (values.empty()) values.push_back(0);  // C has no empty arrays
    weight_type_ = narrowest_type(values);
    text_.array(weight_type_, name_ + "_weight", values);
    text_.array("uint8_t", name_ + "_nonzero", {sparse.nonzero.begin(), sparse.nonzero.end()});
    table("start", {sparse.starts.begin(), sparse.starts.end()});
    post_and_bias_constants(kind);
    row_bytes_ = std::ssize(sparse.nonzero) / out_.shape.c;
  }

  // Opens the loop over the output channels begin .. begin + count - 1.
  void open_channels(const Post& post, const std::string& begin, std::int64_t count,
                     const std::string& base) {
    text_.line("for (int32_t o = {}; o < {}; ++o) {{", begin, plus(begin, count));
    open_if_kept(post, 1, base);
    start_accumulators(1);
    text_.line("const {} *w = {};", weight_type_,
               address(name_ + "_weight", fmt::format("{}_start[o]", name_)));
    text_.line("const uint8_t *b = {};", address(name_ + "_nonzero", times("o", row_bytes_)));
  }
  void close_channels(const Post& post, const std::string& base) {
    store(post, 1, base);
    close_if_kept(post, 1, base);
    text_.line("}}");
  }

  // The products of the weights of `bytes` bytes from b on, whose codes begin at p. Leaves w and b
  // behind them.
  void add_bits(std::int64_t bytes) {
    text_.line("for (int32_t i = 0; i < {}; i += 8) {{", bytes * 8);
    text_.line("uint32_t bits = *b++;");
    text_.line("for (; bits != 0; bits &= bits - 1) {{");
    text_.line("acc0 += ({})p[i + {}(bits)] * *w++;", sum_type(), lowest_);
    text_.line("}}");
    text_.line("}}");
  }
  void pass_over(std::int64_t bytes) {
    text_.line("w += {}(b, {});", count_, bytes);
    text_.line("b += {};", bytes);
  }

 private:
  std::int64_t row_bytes_ = 0;
  std::string lowest_, count_;
};

class SparseConvolution : public Sparse {
 public:
  SparseConvolution(const FunctionPlace& place, const Conv2d& conv)
      : Sparse(place),
        conv_(conv),
        rows_(axis_of(conv.window, in().shape, out_.shape, 0)),
        columns_(axis_of(conv.window, in().shape, out_.shape, 1)),
        inputs_(in().shape.c / conv.groups) {}

  FunctionCall emit() {
    const std::int64_t outputs = out_.shape.c / conv_.groups;
    sparse_constants(conv_);
    open();
    text_.line("for (int32_t y = 0; y < {}; ++y) {{", rows_.output);
    rows_.clip(text_, "y");
    text_.line("for (int32_t x = 0; x < {}; ++x) {{", columns_.output);
    columns_.clip(text_, "x");
    text_.line("const int32_t element = {};",
               times(plus(times("y", columns_.output), "x"), out_.shape.c));
    for_each_group(conv_.groups, outputs, [&](const std::string& begin, const std::string& group) {
      open_channels(conv_.post, begin, outputs, "element");
      window(times(group, inputs_));
      close_channels(conv_.post, "element");
    });
    text_.line("}}");
    text_.line("}}");
    text_.line("}}");
    return call();
  }

 private:
  void window(const std::string& first_input) {
    const std::int64_t tap_bytes = (inputs_ + 7) / 8;
    const bool cut = columns_.cut_before() || columns_.cut_after();
    // Bits and codes of a row of the window follow one another without a gap.
    const bool side_by_side =
        conv_.groups == 1 && columns_.dilation == 1 && inputs_ % 8 == 0 && !cut;
    text_.line("for (int32_t ky = 0; ky < {}; ++ky) {{", rows_.kernel);
    pass_over_outside(rows_, "ky", "y", columns_.kernel * tap_bytes);
    if (side_by_side) {
      pointer("0", first_input);
      add_bits(columns_.kernel * tap_bytes);
    } else {
      text_.line("for (int32_t kx = 0; kx < {}; ++kx) {{", columns_.kernel);
      pass_over_outside(columns_, "kx", "x", tap_bytes);
      pointer("kx", first_input);
      add_bits(tap_bytes);
      text_.line("}}");
    }
    text_.line("}}");
  }

  void pass_over_outside(const Axis& axis, const std::string& tap, const std::string& position,
                         std::int64_t bytes) {
    std::string outside;
    if (axis.cut_before()) outside = fmt::format("{} < {}", tap, axis.first_tap(position));
    if (axis.cut_after())
      outside +=
          fmt::format("{}{} >= {}", outside.empty() ? "" : " || ", tap, axis.end_tap(position));
    if (outside.empty()) return;
    text_.line("if ({}) {{", outside);
    pass_over(bytes);
    text_.line("continue;");
    text_.line("}}");
  }

  void pointer(const std::string& kx, const std::string& first_input) {
    text_.line("const {} *p = {};", in_type(),
               address("in", plus(times(window_position(rows_, columns_, "ky", kx), in().shape.c),
                                  first_input)));
  }

  const Conv2d& conv_;
  const Axis rows_, columns_;
  const std::int64_t inputs_;
};

class SparseLinear : public Sparse {
 public:
  SparseLinear(const FunctionPlace& place, const Linear& linear) : Sparse(place), linear_(linear) {}

  FunctionCall emit() {
    sparse_constants(linear_);
    open();
    open_channels(linear_.post, "0", out_.shape.c, "0");
    text_.line("const {} *p = in;", in_type());
    add_bits((in().shape.count() + 7) / 8);
    close_channels(linear_.post, "0");
    text_.line("}}");
    return call();
  }

 private:
  const Linear& linear_;
};

}  // namespace

void emit_sparse_helpers(CText& text, std::string_view prefix) {
  text.line("/* The lowest bit that is set; bits is not 0. The product with a de Bruijn sequence");
  text.line("   moves its number to the top. */");
  text.line("INTRT_INLINE int32_t {}_lowest(uint32_t bits) {{", prefix);
  text.line("#if defined(__GNUC__) && (defined(__ARM_FEATURE_CLZ) || defined(__aarch64__) || \\");
  text.line("    defined(__x86_64__))");
  text.line("return (int32_t)__builtin_ctz(bits);");
  text.line("#else");
  text.line("static const uint8_t number[32] = {{");
  text.line("0, 1, 28, 2, 29, 14, 24, 3, 30, 22, 20, 15, 25, 17, 4, 8,");
  text.line("31, 27, 13, 23, 21, 19, 16, 7, 26, 12, 18, 6, 11, 5, 10, 9");
  text.line("}};");
  text.line("return number[(uint32_t)((bits & (0u - bits)) * 0x077CB531u) >> 27];");
  text.line("#endif");
  text.line("}}");
  text.blank();
  text.line("/* How many bits are set in `bytes` bytes. */");
  text.line("INTRT_INLINE int32_t {}_count(const uint8_t *bits, int32_t bytes) {{", prefix);
  text.line("int32_t count = 0;");
  text.line("for (; bytes > 0; --bytes) {{");
  text.line("uint32_t x = *bits++;");
  text.line("for (; x != 0; x &= x - 1) {{");
  text.line("++count;");
  text.line("}}");
  text.line("}}");
  text.line("return count;");
  text.line("}}");
  text.blank();
}

bool has_sparse_weights(const Program& program) {
  for (const Op& op : program.ops) {
    const auto* conv = std::get_if<Conv2d>(&op.kind);
    const auto* linear = std::get_if<Linear>(&op.kind);
    if ((conv != nullptr && conv->sparse) || (linear != nullptr && linear->sparse)) return true;
  }
  return false;
}

FunctionCalls emit_sparse(const FunctionPlace& place, const Conv2d& conv) {
  return {SparseConvolution(place, conv).emit()};
}
FunctionCalls emit_sparse(const FunctionPlace& place, const Linear& linear) {
  return {SparseLinear(place, linear).emit()};
}

}  // namespace lockstep::backends
