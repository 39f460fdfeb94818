// Pooling: the largest code, or the sum, of each window.
#include <algorithm>

#include "compile/backends/c_source/functions/axis.h"
#include "compile/backends/c_source/functions/families.h"
#include "compile/backends/c_source/functions/sums.h"

namespace lockstep::backends {
namespace {

using namespace ir;

class LargestOf : public Function {
 public:
  LargestOf(const FunctionPlace& place, const MaxPool2d& pool)
      : Function(place.text, place.program, place.op_index, place.prefix),
        rows_(axis_of(pool.window, in().shape, out_.shape, 0)),
        columns_(axis_of(pool.window, in().shape, out_.shape, 1)) {}

  FunctionCall emit() {
    const std::int64_t channels = in().shape.c;
    const auto index = [&](const std::string& ky, const std::string& kx) {
      return plus(times(window_position(rows_, columns_, ky, kx), channels), "c");
    };
    open();
    text_.line("for (int32_t y = 0; y < {}; ++y) {{", rows_.output);
    rows_.clip(text_, "y");
    text_.line("for (int32_t x = 0; x < {}; ++x) {{", columns_.output);
    columns_.clip(text_, "x");
    text_.line("for (int32_t c = 0; c < {}; ++c) {{", channels);
    text_.line("{} largest = in[{}];", in_type(),
               index(rows_.first_tap("y"), columns_.first_tap("x")));
    text_.line("for (int32_t ky = {}; ky < {}; ++ky) {{", rows_.first_tap("y"), rows_.end_tap("y"));
    text_.line("for (int32_t kx = {}; kx < {}; ++kx) {{", columns_.first_tap("x"),
               columns_.end_tap("x"));
    text_.line("const {} code = in[{}];", in_type(), index("ky", "kx"));
    text_.line("if (code > largest) largest = code;");
    text_.line("}}");
    text_.line("}}");
    text_.line("out[{}] = largest;",
               plus(times(plus(times("y", columns_.output), "x"), channels), "c"));
    text_.line("}}");
    text_.line("}}");
    text_.line("}}");
    text_.line("}}");
    return call();
  }

 private:
  const Axis rows_, columns_;
};

// The windows of one axis of an average pooling, as C expressions of the position.
struct Spans {
  std::string begin, count;
  std::string multiplier;  // "1" where nothing is multiplied
};

class SumOf : public Sums {
 public:
  SumOf(const FunctionPlace& place, const AvgPool2d& pool)
      : Sums(place.text, place.program, place.op_index, place.prefix), pool_(pool) {}

  FunctionCall emit() {
    choose_block(pool_.post.mask, out_.shape.c);
    post_constants(pool_.post);
    const Spans rows = spans(pool_.rows, "row", "y"), columns = spans(pool_.columns, "column", "x");
    open();
    text_.line("for (int32_t y = 0; y < {}; ++y) {{", out_.shape.h);
    text_.line("for (int32_t x = 0; x < {}; ++x) {{", out_.shape.w);
    text_.line("const int32_t element = {};",
               times(plus(times("y", out_.shape.w), "x"), out_.shape.c));
    text_.line("const int32_t top = {}, left = {};", rows.begin, columns.begin);
    text_.line("const int32_t corner = {};",
               times(plus(times("top", in().shape.w), "left"), in().shape.c));
    const std::string times_text = multiplier(rows, columns);
    if (!times_text.empty()) text_.line("const int32_t multiplier = {};", times_text);
    for_each_block("0", out_.shape.c, [&](std::int64_t width) {
      open_if_kept(pool_.post, width, "element");
      start_accumulators(width);
      text_.line("int32_t row = {};", plus("corner", "o"));
      text_.line("for (int32_t row_left = {}; row_left > 0; --row_left) {{", rows.count);
      text_.line("int32_t at = row;");
      text_.line("for (int32_t column_left = {}; column_left > 0; --column_left) {{",
                 columns.count);
      for (std::int64_t j = 0; j < width; ++j) text_.line("acc{} += in[{}];", j, plus("at", j));
      text_.line("at += {};", in().shape.c);
      text_.line("}}");
      text_.line("row += {};", in().shape.w * in().shape.c);
      text_.line("}}");
      if (!times_text.empty())
        for (std::int64_t j = 0; j < width; ++j) text_.line("acc{} *= multiplier;", j);
      store(pool_.post, width, "element");
      close_if_kept(pool_.post, width, "element");
    });
    text_.line("}}");
    text_.line("}}");
    text_.line("}}");
    return call();
  }

 private:
  // Numbers and products where the spans are evenly spaced and alike, else tables.
  Spans spans(const std::vector<PoolSpan>& spans, std::string_view name, std::string_view index) {
    std::vector<std::int64_t> begins, counts, multipliers;
    for (const PoolSpan& span : spans) {
      begins.push_back(span.begin);
      counts.push_back(span.end - span.begin);
      multipliers.push_back(span.multiplier);
    }
    const std::int64_t stride = begins.size() > 1 ? begins[1] - begins[0] : 0;
    bool even = stride >= 0;
    for (std::size_t i = 1; i < begins.size(); ++i)
      even = even && begins[i] - begins[i - 1] == stride;
    return {even ? plus(times(index, stride), begins[0])
                 : constant(fmt::format("{}_begin", name), begins, index),
            constant(fmt::format("{}_count", name), counts, index),
            constant(fmt::format("{}_multiplier", name), multipliers, index)};
  }

  // Of a window's sum; empty where it is 1 throughout. The product of the two is at most 2^31 - 1,
  // because a sum of codes times it fits 32 bits.
  static std::string multiplier(const Spans& rows, const Spans& columns) {
    if (rows.multiplier == "1") return columns.multiplier == "1" ? "" : columns.multiplier;
    if (columns.multiplier == "1") return rows.multiplier;
    return fmt::format("(int32_t){} * {}", rows.multiplier, columns.multiplier);
  }

  const AvgPool2d& pool_;
};

}  // namespace

FunctionCalls emit_kind(const FunctionPlace& place, const MaxPool2d& pool) {
  return {LargestOf(place, pool).emit()};
}

FunctionCalls emit_kind(const FunctionPlace& place, const AvgPool2d& pool) {
  return {SumOf(place, pool).emit()};
}

}  // namespace lockstep::backends
