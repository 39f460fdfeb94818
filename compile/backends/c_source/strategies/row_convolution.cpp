// Convolutions and linear layers on 64-bit Arm cores, intrt/micro/neon.h; and convolutions with
// weights of 16 bits on cores that multiply two numbers at a time, intrt/micro/wide.h. Positions
// that lie side by side in a row of the output, up to eight or two, share each weight. Their
// windows are read in place where all rows of them lie inside the input and are made of whole units
// of taps, of 4 or 1; else those rows of the input are copied first, with zeros around them. A
// window's row that is no multiple of a unit ends with weights of 0.
#include <algorithm>

#include "compile/backends/c_source/arith_text.h"
#include "compile/backends/c_source/strategies/panel_convolution.h"
#include "compile/backends/c_source/strategies/strategy.h"
#include "compile/backends/weights.h"

namespace lockstep::backends {
namespace {

using namespace ir;

struct RowKernels {
  std::string_view prefix;  // of its functions
  std::string_view dot, weight_type;
  std::int64_t unit = 1, most_positions = 2;
  // Instructions of a row of a window, of a block's sums and of each position's, estimated.
  std::int64_t (*row)(std::int64_t units, std::int64_t positions) = nullptr;
  std::int64_t block = 0, position = 0;
  // Weights are a + 256 * b of two bytes each: of each unit first all a, then all b.
  bool has_pairs = false;
};
const RowKernels kNeonRows = {"intrt_neon",
                              "intrt_neon_dot",
                              "int8_t",
                              4,
                              8,
                              [](std::int64_t units, std::int64_t positions) {
                                return units / 4 * (5 * positions + 4) +
                                       units % 4 * (3 * positions + 4) + 5;
                              },
                              15,
                              7};
// The same with weights of 16 bits in two bytes.
const RowKernels kNeonWideRows = {"intrt_neon",
                                  "intrt_neon_wide_dot",
                                  "int8_t",
                                  4,
                                  8,
                                  [](std::int64_t units, std::int64_t positions) {
                                    return units / 4 * (9 * positions + 5) +
                                           units % 4 * (4 * positions + 5) + 5;
                                  },
                                  15,
                                  8,
                                  true};
// Those for the weights; null where there are none.
const RowKernels* neon_rows(const xt::xarray<std::int32_t>& weights) {
  if (fits_bytes(weights)) return &kNeonRows;
  const bool fit_pairs = std::ranges::all_of(weights, [](std::int32_t weight) {
    return weight >= -(1 << 15) && weight < (1 << 15) - 128;
  });
  return fit_pairs ? &kNeonWideRows : nullptr;
}
const RowKernels kWideRows = {"intrt_wide",
                              "intrt_wide_dot_4x2",
                              "int16_t",
                              1,
                              2,
                              [](std::int64_t units, std::int64_t) { return units * 15 + 10; },
                              25,
                              30};

struct RowShape : PanelShape {
  RowShape(const PanelShape& shape, const RowKernels& of_kernels)
      : PanelShape(shape),
        kernels(of_kernels),
        units((row_taps + kernels.unit - 1) / kernels.unit) {
    at_once = std::min(kernels.most_positions, columns.output);
    for (std::int64_t p = at_once; p > 2; --p)
      if (instructions(p) < instructions(at_once)) at_once = p;
    for (std::int64_t first = 0; first < columns.output; first += at_once) {
      const std::int64_t begin =
          std::min(first, columns.output - at_once) * columns.stride - columns.pad;
      const bool is_inside = row_taps % kernels.unit == 0 && begin >= 0 && begin <= last_inside();
      (is_inside ? some_in_place : some_copied) = true;
    }
  }

  std::int64_t groups(std::int64_t of) const { return (columns.output + of - 1) / of; }
  // Where the window of the first position may begin at most for all to lie inside the input.
  std::int64_t last_inside() const {
    return columns.input - columns.kernel - (at_once - 1) * columns.stride;
  }
  std::int64_t apart() const { return columns.stride * inputs; }
  // Of a copied row of the windows.
  std::int64_t strip() const { return (at_once - 1) * apart() + units * kernels.unit; }
  std::int64_t strip_bytes() const { return some_copied ? rows.kernel * strip() : 0; }
  std::int64_t unit_weights() const { return 4 * kernels.unit * (kernels.has_pairs ? 2 : 1); }
  std::int64_t block_weights() const { return rows.kernel * units * unit_weights(); }
  // Estimated, with so many positions at a time.
  std::int64_t instructions(std::int64_t of) const {
    const std::int64_t row = kernels.row(units, of);
    const std::int64_t copy = some_copied ? rows.kernel * (30 + strip() / 8) : 0;
    return rows.output * groups(of) *
           (blocks() * (rows.kernel * row + kernels.position * of + kernels.block) + copy + 10);
  }

  const RowKernels& kernels;
  std::int64_t units;        // of taps, in a row of a window
  std::int64_t at_once = 1;  // positions
  bool some_in_place = false, some_copied = false;
};

// A linear layer is a convolution with one position.
PanelShape linear_shape(const Linear& linear) {
  const Axis one{1, 1, 1, 1, 1, 0};
  const auto outputs = static_cast<std::int64_t>(linear.weights.shape(0));
  const auto inputs = static_cast<std::int64_t>(linear.weights.shape(1));
  return PanelShape{one, one, inputs, outputs};
}

class RowConvolution : public Blocks {
 public:
  template <typename Kind>  // Conv2d or Linear
  RowConvolution(const FunctionPlace& place, const Kind& kind, const PanelShape& shape,
                 const RowKernels& kernels)
      : Blocks(place.text, place.program, place.op_index, place.prefix),
        post_(kind.post),
        bias_(kind.bias),
        accumulators_(kind.accumulators),
        weights_(kind.weights.data()),
        kernels_(kernels),
        shape_(shape, kernels) {
    by_position_ = has_vectors();
    if (has_vectors()) positions_ = shape_.at_once;
  }

  FunctionCall emit() {
    weight_constants();
    block_constants(post_, bias_, accumulators_);
    if (shape_.some_copied)
      text_.line("static INTRT_NOINLINE void {}(const int8_t *in, {} *out, int8_t *strip) {{",
                 name_, out_type());
    else
      open();
    const Axis& rows = shape_.rows;
    if (rows.output == 1)
      text_.line("const int32_t y = 0;");
    else
      text_.line("for (int32_t y = 0; y < {}; ++y) {{", rows.output);
    rows.clip(text_, "y");
    groups();
    if (rows.output > 1) text_.line("}}");
    finish_output(post_);
    text_.line("}}");
    FunctionCall result = call();
    result.scratch_bytes = shape_.strip_bytes();
    return result;
  }

 private:
  void weight_constants() {
    std::vector<std::int64_t> ordered;
    for (std::int64_t b = 0; b < shape_.blocks(); ++b)
      for (std::int64_t ky = 0; ky < shape_.rows.kernel; ++ky)
        for (std::int64_t unit = 0; unit < shape_.units; ++unit)
          append_unit(ordered, [&](std::int64_t c, std::int64_t k) -> std::int64_t {
            const std::int64_t tap = unit * kernels_.unit + k;
            return c < outputs() && tap < shape_.row_taps
                       ? weights_[(first_output(b) + c) * shape_.taps + ky * shape_.row_taps + tap]
                       : 0;
          });
    text_.array(kernels_.weight_type, name_ + "_weight", ordered);
  }

  template <typename Weight>
  void append_unit(std::vector<std::int64_t>& to, const Weight& weight) const {
    const auto append = [&](const auto& part) {
      for (std::int64_t c = 0; c < 4; ++c)
        for (std::int64_t k = 0; k < kernels_.unit; ++k) to.push_back(part(weight(c, k)));
    };
    if (!kernels_.has_pairs) return append([](std::int64_t w) { return w; });
    const auto low = [](std::int64_t w) { return ((w + 128) & 255) - 128; };
    append(low);
    append([&](std::int64_t w) { return (w - low(w)) / 256; });
  }

  void groups() {
    const Axis& columns = shape_.columns;
    const std::int64_t at_once = shape_.at_once;
    const bool one_group = columns.output == at_once;
    if (one_group) {
      text_.line("const int32_t x = 0;");
    } else if (columns.output % at_once == 0) {
      text_.line("for (int32_t x = 0; x < {}; x += {}) {{", columns.output, at_once);
    } else {
      text_.line("for (int32_t u = 0; u < {}; u += {}) {{", columns.output, at_once);
      text_.line("const int32_t x = u < {0} ? u : {0};", columns.output - at_once);
    }
    text_.line("const int32_t x0 = {}{};", times("x", columns.stride),
               columns.pad > 0 ? fmt::format(" - {}", columns.pad) : "");
    const bool both = shape_.some_in_place && shape_.some_copied;
    if (both) text_.line("if (x0 >= 0 && x0 <= {}) {{", shape_.last_inside());
    if (shape_.some_in_place) {
      const std::int64_t row = columns.input * shape_.inputs;
      sum_blocks(address("in", plus(times(first_row(), row), times("x0", shape_.inputs))),
                 shape_.rows.dilation * row);
    }
    if (both) text_.line("}} else {{");
    if (shape_.some_copied) {
      copy_rows();
      sum_blocks("strip", shape_.strip());
    }
    if (both) text_.line("}}");
    if (!one_group) text_.line("}}");
  }

  // The row of the input under the first row of the window that lies inside it.
  std::string first_row() const {
    return plus("y0", times(shape_.rows.first_tap("y"), shape_.rows.dilation));
  }

  void copy_rows() {
    const Axis &rows = shape_.rows, &columns = shape_.columns;
    const bool cut = columns.cut_before();
    std::string to = "strip";
    std::string row = "y0";
    if (rows.kernel > 1) {
      const std::string first = rows.first_tap("y");
      text_.line("for (int32_t ky = {}; ky < {}; ++ky) {{", first, rows.end_tap("y"));
      to = address("strip",
                   times(first == "0" ? "ky" : fmt::format("ky - {}", first), shape_.strip()));
      row = plus("y0", times("ky", rows.dilation));
    } else if (rows.cut_before() || rows.cut_after()) {
      row = first_row();
    }
    text_.line(
        "{}_row({}, {}, {}, {}, {});", kernels_.prefix, to, shape_.strip(),
        address("in", times(plus(times(row, columns.input), cut ? "(x0 < 0 ? 0 : x0)" : "x0"),
                            shape_.inputs)),
        cut ? times("(x0 < 0 ? -x0 : 0)", shape_.inputs) : "0",
        times(fmt::format("{} - x0", columns.input), shape_.inputs));
    if (rows.kernel > 1) text_.line("}}");
  }

  // Sums and stores all output channels of the positions, whose windows are at `codes`.
  void sum_blocks(const std::string& codes, std::int64_t row_step) {
    const Axis& rows = shape_.rows;
    const std::string first = rows.first_tap("y"), end = rows.end_tap("y");
    const std::int64_t weight_row = shape_.units * shape_.unit_weights();
    open_blocks();
    text_.line("int32_t sums[{}];", 4 * shape_.at_once);
    const std::string block = shape_.blocks() == 1 ? "0" : times("b", shape_.block_weights());
    text_.line("{}(sums, {}, {}, {}, {}, {}, {}, {}{});", kernels_.dot, start(), codes,
               shape_.apart(), row_step,
               address(name_ + "_weight", plus(block, times(first, weight_row))),
               first == "0" ? end : fmt::format("{} - {}", end, first), shape_.units,
               has_vectors() ? fmt::format(", {}", shape_.at_once) : "");
    text_.line("const int32_t element = {};",
               plus(times(plus(times("y", shape_.columns.output), "x"), outputs()), "o"));
    store_sums(post_, outputs());
    close_blocks();
  }

  // And so any number of positions.
  bool has_vectors() const { return kernels_.most_positions > 2; }

  const Post& post_;
  const std::vector<std::int64_t>& bias_;
  const std::vector<Accumulator>& accumulators_;
  const std::int32_t* weights_;
  const RowKernels& kernels_;
  const RowShape shape_;
};

StrategyCost cost_of(const RowShape& shape) {
  StrategyCost cost;
  cost.instructions = shape.instructions(shape.at_once);
  const std::int64_t weight_bytes = shape.kernels.weight_type == "int16_t" ? 2 : 1;
  cost.constant_bytes = shape.blocks() * (shape.block_weights() * weight_bytes + 48);
  cost.code_bytes = (shape.some_in_place && shape.some_copied ? 2 : 1) * 100 * shape.at_once + 300;
  cost.scratch_bytes = shape.strip_bytes();
  return cost;
}

class NeonConvolutionStrategy : public Strategy {
 public:
  std::string_view name() const override { return "positions side by side, SDOT"; }
  const char* micro_kernels() const override { return kNeonText; }

  std::optional<StrategyCost> cost(const Program& program, const Op& op,
                                   const Target& target) const override {
    if (target.kernels != MicroKernels::kNeon) return std::nullopt;
    const Conv2d* const conv = sums_of_windows(program, op);
    const RowKernels* const kernels = conv == nullptr ? nullptr : neon_rows(conv->weights);
    if (kernels == nullptr) return std::nullopt;
    const PanelShape shape(program, op, *conv);
    if (shape.rows.may_be_empty() || shape.columns.may_be_empty()) return std::nullopt;
    return cost_of(RowShape(shape, *kernels));
  }

  FunctionCalls emit(const FunctionPlace& place) const override {
    const Op& op = place.program.ops.at(place.op_index);
    const auto& conv = std::get<Conv2d>(op.kind);
    const PanelShape shape(place.program, op, conv);
    return {RowConvolution(place, conv, shape, *neon_rows(conv.weights)).emit()};
  }
};

class NeonLinearStrategy : public Strategy {
 public:
  std::string_view name() const override { return "four outputs, SDOT"; }
  const char* micro_kernels() const override { return kNeonText; }

  std::optional<StrategyCost> cost(const Program& program, const Op& op,
                                   const Target& target) const override {
    const auto* const linear = std::get_if<Linear>(&op.kind);
    if (target.kernels != MicroKernels::kNeon || linear == nullptr || linear->wide ||
        !linear->segments.empty() || program.values.at(op.input()).type() != ElementType::kInt8)
      return std::nullopt;
    const RowKernels* const kernels = neon_rows(linear->weights);
    if (kernels == nullptr) return std::nullopt;
    return cost_of(RowShape(linear_shape(*linear), *kernels));
  }

  FunctionCalls emit(const FunctionPlace& place) const override {
    const auto& linear = std::get<Linear>(place.program.ops.at(place.op_index).kind);
    const PanelShape shape = linear_shape(linear);
    return {RowConvolution(place, linear, shape, *neon_rows(linear.weights)).emit()};
  }
};

// For weights that have more than 8 bits: packed kernels are faster for the others.
class WideConvolutionStrategy : public Strategy {
 public:
  std::string_view name() const override { return "four channels, two positions"; }
  const char* micro_kernels() const override { return kWideText; }

  std::optional<StrategyCost> cost(const Program& program, const Op& op,
                                   const Target& target) const override {
    // Eight sums are more than the registers of a Cortex-M0 hold.
    if (target.kernels != MicroKernels::kPacked || target.name == "cortex-m0") return std::nullopt;
    const Conv2d* const conv = convolution_for_panels(program, op);
    if (conv == nullptr || fits_bytes(conv->weights)) return std::nullopt;
    const PanelShape shape(program, op, *conv);
    if (shape.rows.may_be_empty() || shape.columns.may_be_empty() || shape.columns.output < 2)
      return std::nullopt;
    return cost_of(RowShape(shape, kWideRows));
  }

  FunctionCalls emit(const FunctionPlace& place) const override {
    const Op& op = place.program.ops.at(place.op_index);
    const auto& conv = std::get<Conv2d>(op.kind);
    return {RowConvolution(place, conv, PanelShape(place.program, op, conv), kWideRows).emit()};
  }
};

}  // namespace

const Strategy& neon_convolution_strategy() {
  static const NeonConvolutionStrategy strategy;
  return strategy;
}

const Strategy& neon_linear_strategy() {
  static const NeonLinearStrategy strategy;
  return strategy;
}

const Strategy& wide_convolution_strategy() {
  static const WideConvolutionStrategy strategy;
  return strategy;
}

}  // namespace lockstep::backends
