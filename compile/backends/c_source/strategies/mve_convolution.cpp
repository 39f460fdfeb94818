// Convolutions that read their input in place, on cores with MVE: intrt/micro/mve.h. For windows
// whose rows are made of whole vectors of 16 codes. Two positions with the same taps inside the
// input share each weight: neighbours in a row where the window lies between the left and the right
// border, else neighbours in a column.
#include <algorithm>

#include "compile/backends/c_source/arith_text.h"
#include "compile/backends/c_source/strategies/mve_columns.h"
#include "compile/backends/c_source/strategies/mve_weights.h"
#include "compile/backends/c_source/strategies/panel_convolution.h"
#include "compile/backends/c_source/strategies/strategy.h"
#include "compile/backends/weights.h"

namespace lockstep::backends {
namespace {

using namespace ir;

constexpr std::int64_t kGroup = 16;
constexpr std::int64_t kLongRow = 9;  // from here on a row may end with an overlapping pair

// The columns of the output: pairs from pairs.begin to pairs.end, the others one by one.
struct Columns {
  Columns(const Axis& columns, bool one_row) : pairs(columns) {
    const bool overlaps = one_row || pairs.count() >= kLongRow;
    if (pairs.count() == 1 || (pairs.count() % 2 == 1 && !overlaps)) --pairs.end;
  }
  Inside pairs;
};

class MveConvolution : public Blocks {
 public:
  MveConvolution(const FunctionPlace& place, const Conv2d& conv)
      : Blocks(place.text, place.program, place.op_index, place.prefix),
        conv_(conv),
        kernel_(conv.weights),
        shape_(place.program, op_, conv),
        pairs_(Columns(shape_.columns, shape_.rows.output == 1).pairs) {
    by_position_ = true;
  }

  FunctionCall emit() {
    weight_constants();
    block_constants(conv_.post, conv_.bias, conv_.accumulators);
    open();
    if (pairs_.count() > 0) pairs_in_rows();
    for (std::int64_t x = 0; x < shape_.columns.output; ++x)
      if (x < pairs_.begin || x >= pairs_.end) pairs_in_column(x);
    finish_output(conv_.post);
    text_.line("}}");
    return call();
  }

 private:
  void weight_constants() {
    std::vector<std::int64_t> ordered;
    for (std::int64_t b = 0; b < shape_.blocks(); ++b)
      kernel_.append(ordered, std::min<std::int64_t>(4, outputs()), shape_.taps,
                     [&](std::int64_t c, std::int64_t tap) {
                       return conv_.weights.data()[(first_output(b) + c) * shape_.taps + tap];
                     });
    text_.array(kernel_.type(), name_ + "_weight", ordered);
  }

  void pairs_in_rows() {
    const bool one_row = shape_.rows.output == 1;
    if (one_row)
      text_.line("const int32_t y = 0;");
    else
      text_.line("for (int32_t y = 0; y < {}; ++y) {{", shape_.rows.output);
    shape_.rows.clip(text_, "y");
    if (pairs_.count() % 2 == 0) {
      text_.line("for (int32_t x = {}; x < {}; x += 2) {{", pairs_.begin, pairs_.end);
    } else {
      text_.line("for (int32_t u = {}; u < {}; u += 2) {{", pairs_.begin, pairs_.end);
      text_.line("const int32_t x = u < {} ? u : {};", pairs_.end - 1, pairs_.end - 2);
    }
    const Axis& columns = shape_.columns;
    std::string left = times("x", columns.stride);
    if (columns.pad > 0) left += fmt::format(" - {}", columns.pad);
    sum_blocks("x", left, 0, columns.kernel, fmt::format("{}", columns.stride * inputs()),
               fmt::format("{}", outputs()));
    text_.line("}}");
    if (!one_row) text_.line("}}");
  }

  // Rows with all rows of the window inside the input in pairs, as far as they go; the others one
  // by one, as two equal positions.
  void pairs_in_column(std::int64_t x) {
    const Axis &rows = shape_.rows, &columns = shape_.columns;
    const Inside inside(rows);
    const std::int64_t pairs = inside.count() / 2, end = inside.begin + pairs;
    text_.line("for (int32_t u = 0; u < {}; ++u) {{", rows.output - pairs);
    if (pairs == 0) {
      text_.line("const int32_t y = u, down = 0;");
    } else {
      text_.line("const int32_t y = u < {} ? u : (u < {} ? 2 * u - {} : u + {});", inside.begin,
                 end, inside.begin, pairs);
      text_.line("const int32_t down = u >= {} && u < {} ? 1 : 0;", inside.begin, end);
    }
    rows.clip(text_, "y");
    const TapsAt taps(columns, x);
    sum_blocks(fmt::format("{}", x), fmt::format("{}", taps.start + taps.first), taps.first,
               taps.end, times("down", rows.stride * columns.input * inputs()),
               times("down", columns.output * outputs()));
    text_.line("}}");
  }

  // The sums at row y and column x and at the position `apart` codes further, over the columns
  // first .. end - 1 of the window, the first of which lies at column `left` of the input.
  void sum_blocks(const std::string& x, const std::string& left, std::int64_t first,
                  std::int64_t end, const std::string& apart, const std::string& out_apart) {
    const Axis &rows = shape_.rows, &columns = shape_.columns;
    const std::string first_row = rows.first_tap("y"), end_row = rows.end_tap("y");
    const std::int64_t weight_row = 4 * shape_.row_taps, row = columns.input * inputs();
    const std::string top = plus("y0", times(first_row, rows.dilation));
    open_blocks();
    text_.line("int32_t sums[8];");
    const std::string block = shape_.blocks() == 1 ? "0" : times("b", weight_row * rows.kernel);
    text_.line("{}(sums, {}, {}, {}, {}, {}, {}, {}, {});", kernel_.dot(), start(),
               address("in", plus(times(top, row), times(left, inputs()))), apart,
               rows.dilation * row,
               address(name_ + "_weight",
                       plus(plus(block, times(first_row, weight_row)), 4 * first * inputs())),
               weight_row, first_row == "0" ? end_row : fmt::format("{} - {}", end_row, first_row),
               (end - first) * inputs() / kGroup);
    text_.line("const int32_t element = {};",
               plus(times(plus(times("y", columns.output), x), outputs()), "o"));
    store_sums(conv_.post, out_apart);
    close_blocks();
  }

  std::int64_t inputs() const { return shape_.inputs; }

  const Conv2d& conv_;
  const MveWeights kernel_;
  const PanelShape shape_;
  const Inside pairs_;
};

class MveConvolutionStrategy : public Strategy {
 public:
  std::string_view name() const override { return "in place, VMLADAVA"; }
  const char* micro_kernels() const override { return kMveText; }

  std::optional<StrategyCost> cost(const Program& program, const Op& op,
                                   const Target& target) const override {
    const Conv2d* const conv = convolution_for_panels(program, op);
    if (target.kernels != MicroKernels::kMve || conv == nullptr) return std::nullopt;
    const PanelShape shape(program, op, *conv);
    const Columns columns(shape.columns, shape.rows.output == 1);
    if (shape.inputs % kGroup != 0 || shape.rows.may_be_empty() || shape.columns.may_be_empty() ||
        shape.columns.output - columns.pairs.count() > kMostBorders)
      return std::nullopt;
    const std::int64_t pairs = (shape.positions() + 1) / 2;
    const std::int64_t factor = MveWeights(conv->weights).factor();
    StrategyCost cost;
    cost.instructions =
        pairs * shape.blocks() * (shape.taps * factor * 15 / kGroup + 8 * shape.rows.kernel + 40);
    cost.constant_bytes = shape.blocks() * (shape.taps * factor * 4 + 48);
    cost.code_bytes = 1000;
    return cost;
  }

  FunctionCalls emit(const FunctionPlace& place) const override {
    const Op& op = place.program.ops.at(place.op_index);
    return {MveConvolution(place, std::get<Conv2d>(op.kind)).emit()};
  }
};

}  // namespace

const Strategy& mve_convolution_strategy() {
  static const MveConvolutionStrategy strategy;
  return strategy;
}

}  // namespace lockstep::backends
