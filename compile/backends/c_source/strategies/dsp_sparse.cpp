// Convolutions with many weights of 0 on cores with SMLAD: each pair of taps with a weight that is
// not 0 is written out, so that nothing is spent on the others: intrt/micro/dsp.h.
#include <algorithm>
#include <array>
#include <span>

#include "compile/backends/c_source/arith_text.h"
#include "compile/backends/c_source/strategies/dsp_pairing.h"
#include "compile/backends/c_source/strategies/strategy.h"

namespace lockstep::backends {
namespace {

using namespace ir;

// Statements of one C function, about: larger functions take compilers long.
constexpr std::int64_t kMostSteps = 400;
// How far the weights may be from the pointer to them, in numbers: LDRD reaches 1020 bytes.
constexpr std::int64_t kReach = 500;

// A pair of taps that some channels of a block have weights for.
struct Column {
  std::int64_t pair = 0;
  std::vector<std::pair<std::int64_t, std::array<std::int32_t, 2>>>
      weights;  // channel of the block
};

std::vector<Column> columns_of(const PanelShape& shape, const Pairing& pairing, const Conv2d& conv,
                               std::int64_t first_output) {
  std::vector<std::array<std::array<std::int32_t, 2>, 4>> dense(
      static_cast<std::size_t>(pairing.pairs));
  for (std::int64_t tap = 0; tap < shape.taps; ++tap)
    for (std::int64_t c = 0; c < std::min<std::int64_t>(4, shape.outputs); ++c)
      dense[static_cast<std::size_t>(pairing.pair_of(tap))][static_cast<std::size_t>(c)]
           [static_cast<std::size_t>(pairing.side_of(tap))] =
               conv.weights.data()[(first_output + c) * shape.taps + tap];
  std::vector<Column> columns;
  for (std::int64_t i = 0; i < pairing.pairs; ++i) {
    Column column{.pair = i, .weights = {}};
    for (std::int64_t c = 0; c < 4; ++c) {
      const auto& weights = dense[static_cast<std::size_t>(i)][static_cast<std::size_t>(c)];
      if (weights[0] != 0 || weights[1] != 0) column.weights.emplace_back(c, weights);
    }
    if (!column.weights.empty()) columns.push_back(std::move(column));
  }
  return columns;
}

class DspSparse : public DspPanels {
 public:
  using DspPanels::DspPanels;

 protected:
  // Functions for some blocks each; the weights of all of them are one table, two pairs at a time.
  void weight_constants() override {
    std::vector<std::int64_t> numbers;
    for (std::int64_t b = 0; b < shape_.blocks(); ++b) {
      Block block{.columns = columns_of(shape_, pairing_, conv_, first_output(b)),
                  .begin = std::ssize(numbers),
                  .steps = 0};
      for (std::size_t i = 0; i < block.columns.size(); ++i) {
        if (i == 0 || row_of(block.columns[i]) != row_of(block.columns[i - 1]))
          while (numbers.size() % 4 != 0) numbers.push_back(0);
        for (const auto& [channel, weights] : block.columns[i].weights) {
          numbers.insert(numbers.end(), {weights[0], weights[1]});
          ++block.steps;
        }
      }
      while (numbers.size() % 4 != 0) numbers.push_back(0);
      blocks_.push_back(std::move(block));
    }
    if (numbers.empty()) numbers.resize(4);
    text_.array("INTRT_ALIGNED int16_t", name_ + "_weight", numbers);
  }
  bool leaves_rows_out() const override {
    return !pairing_.is_3x3 && shape_.leaves_rows_out(4) && shape_.rows.kernel > 1;
  }
  bool rows_keep_places() const override { return true; }
  void functions_of_blocks() override {
    for (std::size_t b = 0; b < blocks_.size();) {
      std::size_t end = b;
      for (std::int64_t steps = 0; end < blocks_.size() && (end == b || steps < kMostSteps); ++end)
        steps += blocks_[end].steps;
      function(b, end);
      calls_.push_back(b);
      b = end;
    }
  }

  void sum_blocks() override {
    text_.line("const int32_t element = {};",
               times(plus(times("y", shape_.columns.output), "x"), outputs()));
    for (const std::size_t b : calls_)
      text_.line("{}_from{}(panel, {}, {}, {}{});", name_, b, address("out", "element"),
                 start("0", "0"), address(name_ + "_weight", fmt::format("{}", blocks_[b].begin)),
                 leaves_rows_out()
                     ? fmt::format(", {}, {}", shape_.rows.first_tap("y"), shape_.rows.end_tap("y"))
                     : "");
  }

 private:
  struct Block {
    std::vector<Column> columns;
    std::int64_t begin = 0;  // of its weights in the table
    std::int64_t steps = 0;
  };

  // Of the window, where rows may be left out.
  std::int64_t row_of(const Column& column) const {
    return leaves_rows_out() ? 2 * column.pair / shape_.row_taps : 0;
  }

  void function(std::size_t begin, std::size_t end) {
    text_.line("static INTRT_NOINLINE void {}_from{}(const int16_t *panel, {} *out,", name_, begin,
               out_type());
    text_.line("    const int32_t *from, const int16_t *weight{}) {{",
               leaves_rows_out() ? ", int32_t first_row, int32_t end_row" : "");
    text_.line("const int32_t *table = intrt_hidden32(from);");
    const bool has_weights = std::any_of(blocks_.begin() + static_cast<std::ptrdiff_t>(begin),
                                         blocks_.begin() + static_cast<std::ptrdiff_t>(end),
                                         [](const Block& block) { return !block.columns.empty(); });
    if (!has_weights) {
      for (const std::string_view unused : {"panel", "weight", "first_row", "end_row"})
        if (leaves_rows_out() || !unused.ends_with("_row")) text_.line("(void){};", unused);
    } else if (!leaves_rows_out()) {
      text_.line("const int16_t *w = intrt_hidden16(weight);");
    }
    std::int64_t at = blocks_[begin].begin;  // what w points to
    for (std::size_t b = begin; b < end; ++b) {
      text_.line("{{");
      block(static_cast<std::int64_t>(b), blocks_[b], at);
      text_.line("}}");
    }
    text_.line("}}");
  }

  // The pointer moves on where the next number would be out of reach.
  void reach(std::string_view pointer, std::int64_t& at, std::int64_t next) {
    if (next - at <= kReach) return;
    text_.line("{} += {};", pointer, next - at);
    at = next;
  }

  // Of columns whose weights begin at number `taken` of the table, which is returned behind them;
  // p and w point to the numbers `panel_at` and `weights_at`.
  std::int64_t products(std::span<const Column> columns, std::int64_t taken, std::int64_t panel_at,
                        std::int64_t& weights_at) {
    for (const Column& column : columns) {
      reach("p", panel_at, column.pair * 4);
      text_.line("intrt_dsp_take(x, p, {});", column.pair * 4 - panel_at);
      for (const auto& [output, weights] : column.weights) {
        if (taken % 4 == 0) {
          reach("w", weights_at, taken);
          text_.line("intrt_dsp_take(v, w, {});", taken - weights_at);
        }
        text_.line("intrt_dsp_multiply({}, x, v[{}]);",
                   address("sums", fmt::format("{}", 2 * output)), taken % 4 / 2);
        taken += 2;
      }
    }
    return taken + taken % 4;
  }

  void block(std::int64_t b, const Block& block, std::int64_t& weights_at) {
    const std::int64_t first = first_output(b);
    const std::string table_row = fmt::format("{}", b), channel = fmt::format("{}", first);
    text_.line("int32_t sums[8];");
    if (!block.columns.empty()) {
      text_.line("uint32_t x[2];");
      text_.line("uint32_t v[2];");
    }
    for (std::int64_t i = 0; i < 8; ++i)
      text_.line("sums[{}] = {};", i, start_number(table_row, channel, i / 2));
    if (!leaves_rows_out() && !block.columns.empty()) {
      text_.line("const int16_t *p = panel;");
      products(block.columns, block.begin, 0, weights_at);
    }
    std::int64_t taken = block.begin;
    for (std::size_t i = 0, end = 0; leaves_rows_out() && i < block.columns.size(); i = end) {
      const std::int64_t row = row_of(block.columns[i]);
      while (end < block.columns.size() && row_of(block.columns[end]) == row) ++end;
      const std::int64_t panel_at = row * shape_.row_taps * 2;
      text_.line("if (first_row <= {0} && {0} < end_row) {{", row);
      text_.line("const int16_t *p = {};", plus("panel", panel_at));
      text_.line("const int16_t *w = intrt_hidden16({});", plus("weight", taken - weights_at));
      std::int64_t w_at = taken;
      taken = products(std::span(block.columns).subspan(i, end - i), taken, panel_at, w_at);
      text_.line("}}");
    }
    store_sums(conv_.post, outputs(), table_row, channel, channel);
  }

  std::vector<Block> blocks_;
  std::vector<std::size_t> calls_;
};

class DspSparseStrategy : public Strategy {
 public:
  std::string_view name() const override { return "sparse, SMLAD"; }
  const char* micro_kernels() const override { return kDspText; }

  std::optional<StrategyCost> cost(const Program& program, const Op& op,
                                   const Target& target) const override {
    const Conv2d* const conv = convolution_for_panels(program, op);
    if (target.kernels != MicroKernels::kDsp || conv == nullptr || !conv->post.mask.empty() ||
        program.values.at(op.output).shape.c < 4)
      return std::nullopt;
    const PanelShape shape(program, op, *conv);
    const Pairing pairing(shape);
    std::int64_t columns = 0, steps = 0;
    for (std::int64_t b = 0; b < shape.blocks(); ++b)
      for (const Column& column :
           columns_of(shape, pairing, *conv, std::min(4 * b, shape.outputs - 4))) {
        columns += 1;
        steps += std::ssize(column.weights);
      }
    const std::int64_t positions = shape.rows.output * ((shape.columns.output + 1) / 2);
    StrategyCost cost;
    const std::int64_t body = columns + steps * 5 / 2 + shape.blocks() * 40;
    cost.instructions = positions * (shape.taps * (pairing.in_order ? 5 : 4) + body);
    cost.constant_bytes = steps * 4 + shape.blocks() * 48;
    cost.code_bytes = body * 4;
    cost.scratch_bytes = pairing.memory(program, op, shape).scratch_bytes();
    return cost;
  }

  FunctionCalls emit(const FunctionPlace& place) const override {
    const Op& op = place.program.ops.at(place.op_index);
    return {DspSparse(place, std::get<Conv2d>(op.kind)).emit()};
  }
};

}  // namespace

const Strategy& dsp_sparse_strategy() {
  static const DspSparseStrategy strategy;
  return strategy;
}

}  // namespace lockstep::backends
