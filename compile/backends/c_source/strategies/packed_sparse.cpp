// Convolutions with many weights of 0 on cores without instructions for several products: lists of
// the other weights, intrt/micro/sparse.h. As with other panels (panel_convolution.h), but for as
// many positions at a time as the registers hold sums of.
#include <algorithm>
#include <optional>

#include "compile/backends/c_source/arith_text.h"
#include "compile/backends/c_source/functions/vector_form.h"
#include "compile/backends/c_source/strategies/packed_positions.h"
#include "compile/backends/c_source/strategies/panel_memory.h"
#include "compile/backends/c_source/strategies/sparse_entries.h"
#include "compile/backends/c_source/strategies/strategy.h"

namespace lockstep::backends {
namespace {

using namespace ir;

constexpr std::int64_t kMostPanelBytes = 65536;  // that entries can name a word of

// The panel of a convolution, and its weights that are not 0.
struct SparsePlan {
  SparsePlan(const Program& program, const Op& op, const Conv2d& conv, std::int64_t all_positions)
      : shape(program, op, conv),
        positions(all_positions),
        words(all_positions / 2),
        by_columns(shape.columns.stride == 1 && shape.columns.kernel > 1 &&
                   shape.columns.output >= positions && !shape.columns.may_be_empty()),
        even(words + shape.columns.kernel / 2),
        finish(finish_of(program, op, conv, all_positions)),
        memory(program, op, shape,
               !by_columns              ? PanelMemory::Loop::kPositions
               : shape.rows.output == 1 ? PanelMemory::Loop::kColumns
                                        : PanelMemory::Loop::kRows,
               positions, ElementType::kInt32, panel_words()) {}

  // Nothing where the micro-kernel only sums.
  static std::optional<VectorForm> finish_of(const Program& program, const Op& op,
                                             const Conv2d& conv, std::int64_t positions) {
    if (positions != 16 || !conv.post.mask.empty() ||
        program.values.at(op.output).type() != ElementType::kInt8)
      return std::nullopt;
    std::optional<VectorForm> form = vector_form(conv.post, conv.accumulators);
    return form && !form->toward_zero ? form : std::nullopt;
  }

  std::int64_t panel_words() const {
    return by_columns ? shape.rows.kernel * row_words() : shape.taps * words;
  }
  std::int64_t row_words() const {  // of a row of the window
    return by_columns ? shape.inputs * (2 * even - 1) : shape.row_taps * words;
  }
  std::int64_t panels() const {
    const auto rounded = [&](std::int64_t count) { return (count + positions - 1) / positions; };
    return by_columns ? shape.rows.output * rounded(shape.columns.output)
                      : rounded(shape.positions());
  }
  bool fits() const {
    return shape.positions() >= positions && panel_words() * 4 <= kMostPanelBytes;
  }

  // The first of the words of a tap.
  std::int64_t word_of(std::int64_t tap) const {
    if (!by_columns) return tap * words;
    const std::int64_t column = tap % shape.row_taps / shape.inputs;
    return tap / shape.row_taps * row_words() + tap % shape.inputs * (2 * even - 1) +
           column % 2 * even + column / 2;
  }

  SparseEntries entries(const Program& program, const Op& op, const Conv2d& conv) const {
    SparseEntries result;
    const std::vector<Range>& ranges = program.values.at(op.input()).ranges;
    const std::int64_t size = finish ? shape.outputs : std::min<std::int64_t>(4, shape.outputs);
    for (std::int64_t begin = 0; begin < shape.outputs; begin += size) {
      result.open_block();
      const std::int64_t first = std::min(begin, shape.outputs - size);
      for (std::int64_t c = first; c < first + size; ++c) {
        std::vector<SparseEntries::Entry> channel;
        for (std::int64_t tap = 0; tap < shape.taps; ++tap)
          if (const std::int32_t weight = conv.weights.data()[c * shape.taps + tap]; weight != 0)
            channel.push_back(
                {weight, word_of(tap), ranges[static_cast<std::size_t>(tap % shape.inputs)]});
        result.add_channel(channel);
      }
    }
    return result;
  }

  PanelShape shape;
  std::int64_t positions, words;
  // Positions side by side in a row of the output share pairs of columns; else the positions go
  // through the rows, and each tap has words of its own.
  bool by_columns;
  std::int64_t even;  // words of columns 2 j and 2 j + 1
  // How the micro-kernel makes codes of the sums, of all channels at once; else it sums four.
  std::optional<VectorForm> finish;
  PanelMemory memory;
};

class SparseConvolution : public PackedPositions {
 public:
  SparseConvolution(const FunctionPlace& place, const Conv2d& conv, const SparsePlan& plan)
      : PackedPositions(place, plan.shape, plan.positions), conv_(conv), plan_(plan) {}

  FunctionCall emit() {
    const SparseEntries entries = plan_.entries(program_, op_, conv_);
    text_.array("int32_t", name_ + "_entry", entries.numbers());
    if (plan_.finish) {
      channel_constants(*plan_.finish);
    } else {
      text_.array(narrowest_type(entries.firsts()), name_ + "_first", entries.firsts());
      block_constants(conv_.post, conv_.bias, conv_.accumulators);
    }
    text_.line("static INTRT_NOINLINE void {}(const int8_t *in, {} *out, {}) {{", name_, out_type(),
               plan_.memory.parameters("panel"));
    if (plan_.by_columns)
      row_by_row();
    else
      through_rows();
    text_.line("}}");
    FunctionCall result = call();
    plan_.memory.add_to(result);
    return result;
  }

 private:
  void channel_constants(const VectorForm& form) {
    std::vector<std::int64_t> numbers;
    for (std::size_t c = 0; c < form.channels.size(); ++c) {
      const VectorForm::Channel& channel = form.channels[c];
      numbers.insert(numbers.end(), {(conv_.bias.empty() ? 0 : conv_.bias[c]) + channel.offset,
                                     channel.multiplier, channel.addend});
    }
    text_.array("int32_t", name_ + "_channel", numbers);
  }

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
    text_.line("const int32_t x0 = {};",
               columns.pad == 0 ? "x" : fmt::format("x - {}", columns.pad));
    if (columns.cut_before()) text_.line("const int32_t x_begin = x0 < 0 ? -x0 : 0;");
    fill_panel();
    sum_blocks(plus(times("y", columns.output), "x"));
    text_.line("}}");
    if (!one_row) text_.line("}}");
  }

  void fill_panel() {
    const Axis &rows = shape_.rows, &columns = shape_.columns;
    const std::string begin = columns.cut_before() ? "x_begin" : "0";
    const std::string row = times(plus("y0", times("ky", rows.dilation)), columns.input);
    const std::string codes =
        address("in", times(plus(row, begin == "0" ? "x0" : "x0 + x_begin"), shape_.inputs));
    const std::string to = address("panel", times("ky", plan_.row_words()));
    const std::string sizes = fmt::format("{}, {}, {}", to, plan_.even, shape_.inputs);
    text_.line("for (int32_t ky = 0; ky < {}; ++ky) {{", rows.kernel);
    std::string inside;
    if (rows.cut_before()) inside = fmt::format("ky >= {}", rows.first_tap("y"));
    if (rows.cut_after())
      inside += fmt::format("{}ky < {}", inside.empty() ? "" : " && ", rows.end_tap("y"));
    if (!inside.empty()) text_.line("if ({}) {{", inside);
    text_.line("intrt_sparse_columns({}, {}, {}, {}, {} - x0);", sizes, codes, shape_.inputs, begin,
               columns.input);
    if (!inside.empty()) {
      text_.line("}} else {{");
      text_.line("intrt_sparse_columns({}, in, 0, 0, 0);", sizes);
      text_.line("}}");
    }
    text_.line("}}");
  }

  void through_rows() {
    open_positions("i", shape_.positions());
    plan_.memory.declare(text_, "panel");
    open_pairs();
    const std::string arguments = pair_arguments();
    text_.line("intrt_sparse_pair({}, {}, {}{});",
               address("panel", plus(times("ky", plan_.row_words()), "p")), plan_.words,
               shape_.row_taps, arguments);
    close_pairs();
    sum_blocks("i");
    text_.line("}}");
  }

  void sum_blocks(const std::string& position) {
    if (plan_.finish) {
      text_.line("intrt_sparse_codes_16({0}, {1}_channel, {2}, panel, {1}_entry, {2}, {3}, {4});",
                 address("out", times(position, outputs())), name_, outputs(), plan_.finish->lo,
                 plan_.finish->hi);
      return;
    }
    open_blocks();
    text_.line("int32_t sums[{}];", 4 * positions_);
    text_.line("intrt_sparse_dot_{0}(sums, {1}, {2}, panel, &{3}_entry[{3}_first[b]]);", positions_,
               start(), std::min<std::int64_t>(4, outputs()), name_);
    text_.line("const int32_t element = {};", plus(times(position, outputs()), "o"));
    store_positions(conv_.post, positions_, outputs());
    close_blocks();
  }

  const Conv2d& conv_;
  const SparsePlan& plan_;
};

class PackedSparseStrategy : public Strategy {
 public:
  explicit PackedSparseStrategy(std::int64_t positions) : positions_(positions) {}

  std::string_view name() const override { return "sparse, packed"; }
  const char* micro_kernels() const override { return kSparseText; }

  std::optional<StrategyCost> cost(const Program& program, const Op& op,
                                   const Target& target) const override {
    const Conv2d* const conv = convolution_for_panels(program, op);
    if (target.kernels != MicroKernels::kPacked || target.sparse_positions != positions_ ||
        conv == nullptr)
      return std::nullopt;
    const SparsePlan plan(program, op, *conv, positions_);
    if (!plan.fits()) return std::nullopt;
    const SparseEntries entries = plan.entries(program, op, *conv);
    if (!entries.fits()) return std::nullopt;
    const std::int64_t words = plan.words, chunks = entries.chunks(),
                       weights = std::ssize(entries.numbers()) - chunks;
    const std::int64_t fill = plan.panel_words() * (plan.by_columns ? 7 : 9);
    StrategyCost cost;
    cost.instructions =
        plan.panels() * (fill + weights * (3 * words + 2) + chunks * (4 * words + 14) +
                         4 * plan.shape.blocks() * ((plan.finish ? 16 : 20) * words + 20));
    cost.constant_bytes = std::ssize(entries.numbers()) * 4 + plan.shape.blocks() * 50;
    cost.code_bytes = 900;
    cost.scratch_bytes = plan.memory.scratch_bytes();
    return cost;
  }

  FunctionCalls emit(const FunctionPlace& place) const override {
    const Op& op = place.program.ops.at(place.op_index);
    const auto& conv = std::get<Conv2d>(op.kind);
    const SparsePlan plan(place.program, op, conv, positions_);
    return {SparseConvolution(place, conv, plan).emit()};
  }

 private:
  std::int64_t positions_;
};

}  // namespace

const Strategy& packed_sparse8_strategy() {
  static const PackedSparseStrategy strategy(8);
  return strategy;
}
const Strategy& packed_sparse16_strategy() {
  static const PackedSparseStrategy strategy(16);
  return strategy;
}

}  // namespace lockstep::backends
