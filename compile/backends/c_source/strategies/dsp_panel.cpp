// Convolutions on cores with SMLAD: intrt/micro/dsp.h.
#include <algorithm>

#include "compile/backends/c_source/arith_text.h"
#include "compile/backends/c_source/strategies/panel_convolution.h"
#include "compile/backends/c_source/strategies/strategy.h"

namespace lockstep::backends {
namespace {

using namespace ir;

// How the taps of a window make pairs: so that the codes of four taps are widened at once where the
// rows of a window are multiples of four, in their order elsewhere, or as the panel of 3 x 3 taps
// on one channel has them.
struct Pairing {
  explicit Pairing(const PanelShape& shape)
      : is_3x3(is_3x3_window(shape)),
        in_order(!is_3x3 && shape.row_taps % 4 != 0),
        unit(in_order || is_3x3 ? 2 : 4),
        pairs((shape.taps + unit - 1) / unit * unit / 2) {}

  std::int64_t pair_of(std::int64_t tap) const {
    if (is_3x3) return tap % 3 == 1 ? 3 + tap / 6 : tap / 3;
    return in_order ? tap / 2 : tap / 4 * 2 + tap % 2;
  }
  std::int64_t side_of(std::int64_t tap) const {
    if (is_3x3) return tap % 3 == 1 ? tap / 3 % 2 : tap % 3 / 2;
    return in_order ? tap % 2 : tap / 2 % 2;
  }

  bool is_3x3, in_order;
  std::int64_t unit, pairs;

 private:
  static bool is_3x3_window(const PanelShape& shape) {
    const auto fits = [](const Axis& axis) {
      return axis.kernel == 3 && axis.stride == 1 && axis.dilation == 1 && axis.pad <= 1 &&
             axis.output <= axis.input;
    };
    return shape.inputs == 1 && fits(shape.rows) && fits(shape.columns);
  }
};
constexpr std::int64_t kShortSum = 8, kFewBlocks = 8;  // pairs and blocks that are unrolled

class DspConvolution : public PanelConvolution {
 public:
  DspConvolution(const FunctionPlace& place, const Conv2d& conv)
      : PanelConvolution(place, conv), pairing_(shape_) {}

 protected:
  std::string_view panel_type() const override { return "int16_t"; }
  std::int64_t panel_bytes() const override { return pairing_.pairs * 8; }
  std::string_view panel_function() const override {
    return pairing_.in_order ? "intrt_dsp_panel_in_order" : "intrt_dsp_panel";
  }
  std::int64_t unit() const override { return pairing_.unit; }
  std::string_view loop_hint() const override {
    return pairing_.pairs <= kShortSum && shape_.blocks() <= kFewBlocks ? "INTRT_DSP_UNROLL" : "";
  }

  void fill_panel() override {
    if (!pairing_.is_3x3) return PanelConvolution::fill_panel();
    const Axis &rows = shape_.rows, &columns = shape_.columns;
    const std::string first = rows.first_tap("y"), left = columns.first_tap("x");
    const std::string from =
        plus(times(first == "0" ? "y0" : plus("y0", first), columns.input), plus("x0", left));
    text_.line("intrt_dsp_panel_3x3(panel, {}, {}, {}, {}, {}, {});", address("in", from),
               columns.input, first, rows.end_tap("y"), left,
               columns.cut_after() ? fmt::format("3 - {}", columns.end_tap("v")) : "0");
  }

  void weight_constants() override {
    std::vector<std::int64_t> ordered;
    for (std::int64_t b = 0; b < shape_.blocks(); ++b) {
      const std::int64_t begin = std::ssize(ordered);
      ordered.resize(static_cast<std::size_t>(begin + pairing_.pairs * 8));
      for (std::int64_t tap = 0; tap < shape_.taps; ++tap)
        for (std::int64_t c = 0; c < std::min<std::int64_t>(4, shape_.outputs); ++c)
          ordered[static_cast<std::size_t>(begin + pairing_.pair_of(tap) * 8 + 2 * c +
                                           pairing_.side_of(tap))] =
              weight(first_output(b) + c, tap);
    }
    text_.array("INTRT_ALIGNED int16_t", name_ + "_weight", ordered);
  }

  void sum(const std::string& first_tap, const std::string& count) override {
    text_.line(
        "intrt_dsp_dot_4x2(sums, {}, panel, {}, {});", start(),
        address(name_ + "_weight", plus(times("b", pairing_.pairs * 8), times(first_tap, 4))),
        pairs_of(count));
  }

 private:
  static std::string pairs_of(const std::string& taps) {
    const bool is_number = taps.find_first_not_of("0123456789") == std::string::npos;
    return is_number ? fmt::format("{}", std::stoll(taps) / 2) : fmt::format("{} / 2", taps);
  }

  const Pairing pairing_;
};

class DspPanelStrategy : public Strategy {
 public:
  std::string_view name() const override { return "panels, SMLAD"; }
  const char* micro_kernels() const override { return kDspText; }

  std::optional<StrategyCost> cost(const Program& program, const Op& op,
                                   const Target& target) const override {
    const auto* const conv = std::get_if<Conv2d>(&op.kind);
    if (target.kernels != MicroKernels::kDsp || conv == nullptr || !fits_panels(program, op, *conv))
      return std::nullopt;
    const PanelShape shape(program, op, *conv);
    const std::int64_t pairs = shape.rows.output * ((shape.columns.output + 1) / 2);
    const Pairing pairing(shape);
    StrategyCost cost;
    cost.instructions = pairs * (shape.taps * (pairing.in_order ? 5 : 4) +
                                 shape.blocks() * (pairing.pairs * 11 + 55));
    cost.constant_bytes = shape.blocks() * (pairing.pairs * 16 + 48);
    cost.code_bytes = 2200;
    cost.scratch_bytes = pairing.pairs * 8;
    return cost;
  }

  FunctionCalls emit(const FunctionPlace& place) const override {
    const Op& op = place.program.ops.at(place.op_index);
    return {DspConvolution(place, std::get<Conv2d>(op.kind)).emit()};
  }
};

}  // namespace

const Strategy& dsp_panel_strategy() {
  static const DspPanelStrategy strategy;
  return strategy;
}

}  // namespace lockstep::backends
