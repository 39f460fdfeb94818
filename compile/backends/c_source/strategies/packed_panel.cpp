// Convolutions on cores without instructions for several products: intrt/micro/packed.h. As with
// other panels (panel_convolution.h), but for four positions at a time.
#include <algorithm>
#include <optional>

#include "compile/backends/c_source/arith_text.h"
#include "compile/backends/c_source/strategies/packed_chunks.h"
#include "compile/backends/c_source/strategies/packed_positions.h"
#include "compile/backends/c_source/strategies/panel_memory.h"
#include "compile/backends/c_source/strategies/strategy.h"

namespace lockstep::backends {
namespace {

using namespace ir;

constexpr std::int64_t kUnit = 2;       // taps that a chunk is a multiple of
constexpr std::int64_t kPositions = 4;  // of a panel
constexpr std::int64_t kSums = 16;      // of a block

std::int64_t rounded_up(std::int64_t x, std::int64_t unit) { return (x + unit - 1) / unit * unit; }

// Panels of positions in one row of the output fill faster, and leave rows of the window out; those
// through the rows are fewer where rows are no multiple of four positions.
struct Form {
  bool through_rows = false;
  std::int64_t panels = 0;
};

Form form_of(const PanelShape& shape) {
  const auto panels = [](std::int64_t positions) {
    return (positions + kPositions - 1) / kPositions;
  };
  const std::int64_t all = panels(shape.positions());
  const std::int64_t by_row = shape.rows.output * panels(shape.columns.output);
  if (shape.columns.output < kPositions || all * 5 < by_row * 4) return {true, all};
  return {false, by_row};
}

// Parts of so many taps, where a whole panel would make the arena larger: a panel holds one part of
// a row of the window at a time, and sums of all outputs stay in memory behind it. Together they
// take at most four bytes for each tap.
std::optional<std::int64_t> part_of(const Program& program, const Op& op, const PanelShape& shape,
                                    const Form& form) {
  constexpr std::int64_t kShortest = 64;
  const bool cut = shape.rows.cut_before() || shape.rows.cut_after();
  const auto index = static_cast<std::size_t>(&op - program.ops.data());
  if (form.through_rows || (cut && !shape.leaves_rows_out(kUnit)) ||
      scratch_for(program, index, shape.taps * 8).end <= program.arena_bytes)
    return std::nullopt;
  for (std::int64_t parts = 1; parts <= 4; parts *= 2) {
    const std::int64_t part = shape.row_taps / parts;
    if (shape.row_taps % (parts * kUnit) == 0 && part >= kShortest &&
        part * 8 + shape.blocks() * kSums * 4 <= shape.taps * 4)
      return part;
  }
  return std::nullopt;
}

// The convolution as panels, the taps of its parts, and its weights in their order.
struct PackedPlan {
  PackedPlan(const Program& program, const Op& op, const Conv2d& conv)
      : shape(program, op, conv),
        form(form_of(shape)),
        taps(rounded_up(shape.taps, kUnit)),
        memory(memory_for(program, op, 2 * taps)),
        leaves_rows_out(!form.through_rows && shape.leaves_rows_out(kUnit)),
        part(memory.scratch_bytes() == 0 ? std::nullopt : part_of(program, op, shape, form)),
        weights(shape.taps, part              ? *part
                            : leaves_rows_out ? shape.row_taps
                                              : taps) {
    if (part) memory = memory_for(program, op, 2 * *part + shape.blocks() * kSums);
    const std::vector<Range>& ranges = program.values.at(op.input()).ranges;
    for (std::int64_t b = 0; b < shape.blocks(); ++b) {
      const std::int64_t first = std::clamp<std::int64_t>(shape.outputs - 4, 0, 4 * b);
      weights.add_block(
          std::min<std::int64_t>(4, shape.outputs), [&](std::int64_t c, std::int64_t tap) {
            return WeightAndCode{conv.weights.data()[(first + c) * shape.taps + tap],
                                 ranges[static_cast<std::size_t>(tap % shape.inputs)]};
          });
    }
  }

  PanelShape shape;
  Form form;
  std::int64_t taps = 0;  // with a last one of zeros where their number is odd
  PanelMemory memory;
  bool leaves_rows_out = false;
  std::optional<std::int64_t> part;
  PackedWeights weights;

 private:
  PanelMemory memory_for(const Program& program, const Op& op, std::int64_t words) const {
    return {program,
            op,
            shape,
            form.through_rows        ? PanelMemory::Loop::kPositions
            : shape.rows.output == 1 ? PanelMemory::Loop::kColumns
                                     : PanelMemory::Loop::kRows,
            kPositions,
            ElementType::kInt32,
            words};
  }
};

class PackedConvolution : public PackedPositions {
 public:
  PackedConvolution(const FunctionPlace& place, const Conv2d& conv, const PackedPlan& plan)
      : PackedPositions(place, plan.shape, kPositions), conv_(conv), plan_(plan) {}

  FunctionCall emit() {
    constants();
    text_.line("static INTRT_NOINLINE void {}(const int8_t *in, {} *out, {}) {{", name_, out_type(),
               plan_.memory.parameters("panel"));
    if (plan_.form.through_rows)
      through_rows();
    else
      row_by_row();
    text_.line("}}");
    FunctionCall result = call();
    plan_.memory.add_to(result);
    return result;
  }

 private:
  void constants() {
    text_.array("int8_t", name_ + "_weight", plan_.weights.weights());
    text_.array("uint8_t", name_ + "_length", plan_.weights.lengths());
    const std::vector<std::int64_t> chunks = plan_.weights.first_chunks();
    text_.array(narrowest_type(chunks), name_ + "_chunk", chunks);
    if (plan_.part) text_.array("int32_t", name_ + "_zero", {0, 0, 0, 0});
    block_constants(conv_.post, conv_.bias, conv_.accumulators);
  }

  // Four positions side by side in a row of the output.
  void row_by_row() {
    const Axis &rows = shape_.rows, &columns = shape_.columns;
    const bool one_row = rows.output == 1;
    if (one_row)
      text_.line("const int32_t y = 0;");
    else
      text_.line("for (int32_t y = 0; y < {}; ++y) {{", rows.output);
    rows.clip(text_, "y");
    open_positions("x", columns.output);
    plan_.memory.declare(text_, "panel");
    text_.line("const int32_t x0 = {}{};", times("x", columns.stride),
               columns.pad == 0 ? "" : fmt::format(" - {}", columns.pad));
    if (columns.cut_before()) text_.line("const int32_t x_begin = x0 < 0 ? -x0 : 0;");
    const std::string position = plus(times("y", columns.output), "x");
    if (plan_.part) {
      sum_parts(position);
    } else {
      fill_panel();
      sum_blocks(position);
    }
    text_.line("}}");
    if (!one_row) text_.line("}}");
  }

  // Four positions in a row of memory, two of them for each word.
  void through_rows() {
    open_positions("i", shape_.positions());
    plan_.memory.declare(text_, "panel");
    open_pairs();
    const std::string arguments = pair_arguments();
    text_.line("intrt_packed_pair(panel + p, {}, {}{});", times("ky", shape_.row_taps),
               shape_.row_taps, arguments);
    close_pairs();
    fill_rest();
    sum_blocks("i");
    text_.line("}}");
  }

  // Row ky of the window, from tap `tap` on. It lies side by side in the input, as do the rows of
  // all four positions.
  void fill_row(const std::string& tap) {
    const Axis& columns = shape_.columns;
    const std::string row = times(plus("y0", times("ky", shape_.rows.dilation)), columns.input);
    const std::string begin = columns.cut_before() ? "x_begin" : "0";
    const std::string first = begin == "0" ? "x0" : "x0 + x_begin";
    text_.line("intrt_packed_panel(panel, {}, {}, {}, {}, {}, {});", tap, shape_.row_taps,
               address("in", times(plus(row, first), shape_.inputs)),
               columns.stride * shape_.inputs, times(begin, shape_.inputs),
               times(fmt::format("{} - x0", columns.input), shape_.inputs));
  }
  void fill_zeros(const std::string& tap, std::int64_t count) {
    text_.line("intrt_packed_panel(panel, {}, {}, in, 0, 0, 0);", tap, count);
  }

  void fill_panel() {
    const Axis& rows = shape_.rows;
    const bool cut = rows.cut_before() || rows.cut_after();
    const std::string first = rows.first_tap("y"), end = rows.end_tap("y");
    if (plan_.leaves_rows_out || !cut) {
      text_.line("for (int32_t ky = {}; ky < {}; ++ky) {{", first, end);
      fill_row(times(first == "0" ? "ky" : fmt::format("ky - {}", first), shape_.row_taps));
      text_.line("}}");
    } else {
      text_.line("for (int32_t ky = 0; ky < {}; ++ky) {{", rows.kernel);
      text_.line("if (ky >= {} && ky < {}) {{", first, end);
      fill_row(times("ky", shape_.row_taps));
      text_.line("}} else {{");
      fill_zeros(times("ky", shape_.row_taps), shape_.row_taps);
      text_.line("}}");
      text_.line("}}");
    }
    fill_rest();
  }
  void fill_rest() {
    if (plan_.taps > shape_.taps)
      fill_zeros(fmt::format("{}", shape_.taps), plan_.taps - shape_.taps);
  }

  // One part of the taps after the other.
  void sum_parts(const std::string& position) {
    const Axis& rows = shape_.rows;
    const std::int64_t part = *plan_.part, parts = shape_.row_taps / part;
    const std::string first = rows.first_tap("y");
    text_.line("for (int32_t ky = {0}; ky < {1}; ++ky) {{", first, rows.end_tap("y"));
    text_.line("for (int32_t h = 0; h < {}; ++h) {{", parts);
    fill_part(part);
    open_blocks();
    text_.line("int32_t *const to = {};", block_sums());
    text_.line("const int32_t chunk = {0}_chunk[{1}], chunks = {0}_chunk[{1} + 1] - chunk;", name_,
               fmt::format("{} + ky * {} + h", times("b", rows.kernel * parts), parts));
    const std::string rest = fmt::format(
        "panel, {}, &{}_length[chunk], chunks",
        address(name_ + "_weight", fmt::format("{} + ky * {} + h * {}", times("b", 4 * plan_.taps),
                                               4 * shape_.row_taps, 4 * part)),
        name_);
    text_.line("if (ky == {} && h == 0) {{", first);
    text_.line("intrt_packed_dot_4x4(to, {}, {});", start(), rest);
    text_.line("}} else {{");
    text_.line("int32_t more[16];");
    text_.line("intrt_packed_dot_4x4(more, {}_zero, {});", name_, rest);
    text_.line("for (int32_t i = 0; i < 16; ++i) to[i] = to[i] + more[i];");
    text_.line("}}");
    close_blocks();
    text_.line("}}");
    text_.line("}}");
    open_blocks();
    text_.line("const int32_t *const sums = {};", block_sums());
    text_.line("const int32_t element = {};", plus(times(position, outputs()), "o"));
    store_positions(conv_.post, kPositions, outputs());
    close_blocks();
  }
  std::string block_sums() const {
    return address("panel", fmt::format("{} + {}", 2 * *plan_.part, times("b", kSums)));
  }
  // Part h of row ky of the window. What padding cuts off may end in it, or in front of it.
  void fill_part(std::int64_t part) {
    const Axis& columns = shape_.columns;
    const std::string row = times(plus("y0", times("ky", shape_.rows.dilation)), columns.input);
    const bool cut = columns.cut_before();
    text_.line("const int32_t left = {} - h * {};", cut ? times("x_begin", shape_.inputs) : "0",
               part);
    text_.line("intrt_packed_panel(panel, 0, {}, {}, {}, left < 0 ? 0 : left, {} - h * {});", part,
               address("in", times(plus(row, cut ? "x0 + x_begin" : "x0"), shape_.inputs) +
                                 " + (left < 0 ? -left : 0)"),
               columns.stride * shape_.inputs,
               times(fmt::format("{} - x0", columns.input), shape_.inputs), part);
  }

  void sum_blocks(const std::string& position) {
    const Axis& rows = shape_.rows;
    open_blocks();
    text_.line("int32_t sums[16];");
    const std::string parts = plan_.leaves_rows_out ? times("b", rows.kernel) : "b";
    const std::string first = plan_.leaves_rows_out ? rows.first_tap("y") : "0";
    const std::string end = plan_.leaves_rows_out ? rows.end_tap("y") : "1";
    text_.line("const int32_t chunk = {0}_chunk[{1}], chunks = {0}_chunk[{2}] - chunk;", name_,
               plus(parts, first), plus(parts, end));
    text_.line("intrt_packed_dot_4x4(sums, {}, panel, {}, &{}_length[chunk], chunks);", start(),
               address(name_ + "_weight",
                       plus(times("b", 4 * plan_.taps), times(first, 4 * shape_.row_taps))),
               name_);
    text_.line("const int32_t element = {};", plus(times(position, outputs()), "o"));
    store_positions(conv_.post, kPositions, outputs());
    close_blocks();
  }

  const Conv2d& conv_;
  const PackedPlan& plan_;
};

class PackedPanelStrategy : public Strategy {
 public:
  std::string_view name() const override { return "panels, packed"; }
  const char* micro_kernels() const override { return kPackedText; }

  std::optional<StrategyCost> cost(const Program& program, const Op& op,
                                   const Target& target) const override {
    const Conv2d* const conv = convolution_for_panels(program, op);
    if (target.kernels != MicroKernels::kPacked || conv == nullptr) return std::nullopt;
    const PackedPlan plan(program, op, *conv);
    const PanelShape& shape = plan.shape;
    if (shape.positions() < kPositions || !plan.weights.fits()) return std::nullopt;
    const std::int64_t fill =
        plan.form.through_rows ? shape.taps * 24 + shape.rows.kernel * 80 : shape.taps * 10;
    const std::int64_t chunks = std::ssize(plan.weights.lengths());
    StrategyCost cost;
    cost.instructions =
        plan.form.panels * (fill + shape.blocks() * (plan.taps * 14 + 200) + chunks * 50);
    if (plan.part)
      cost.instructions += plan.form.panels * shape.blocks() * (shape.taps / *plan.part) * 200;
    cost.constant_bytes = shape.blocks() * (plan.taps * 4 + 48) + chunks;
    cost.code_bytes = 600;
    cost.scratch_bytes = plan.memory.scratch_bytes();
    return cost;
  }

  FunctionCalls emit(const FunctionPlace& place) const override {
    const Op& op = place.program.ops.at(place.op_index);
    const auto& conv = std::get<Conv2d>(op.kind);
    return {PackedConvolution(place, conv, PackedPlan(place.program, op, conv)).emit()};
  }
};

}  // namespace

const Strategy& packed_panel_strategy() {
  static const PackedPanelStrategy strategy;
  return strategy;
}

}  // namespace lockstep::backends
