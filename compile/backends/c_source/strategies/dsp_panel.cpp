// Convolutions on cores with SMLAD: intrt/micro/dsp.h.
#include <algorithm>

#include "compile/backends/c_source/arith_text.h"
#include "compile/backends/c_source/strategies/panel_convolution.h"
#include "compile/backends/c_source/strategies/strategy.h"

namespace lockstep::backends {
namespace {

using namespace ir;

constexpr std::int64_t kUnit = 4;
// Where the weights of the taps and channels of a unit lie in it.
constexpr std::int64_t kTapPlaces[] = {0, 8, 1, 9};

std::int64_t units(const PanelShape& shape) { return (shape.taps + kUnit - 1) / kUnit; }

class DspConvolution : public PanelConvolution {
 public:
  using PanelConvolution::PanelConvolution;

 protected:
  std::string_view panel_type() const override { return "int16_t"; }
  std::int64_t panel_bytes() const override { return units(shape_) * 16; }
  std::string_view panel_function() const override { return "intrt_dsp_panel"; }
  std::int64_t unit() const override { return kUnit; }

  void weight_constants() override {
    std::vector<std::int64_t> ordered;
    for (std::int64_t b = 0; b < shape_.blocks(); ++b) {
      const std::int64_t begin = std::ssize(ordered);
      ordered.resize(static_cast<std::size_t>(begin + units(shape_) * 16));
      for (std::int64_t tap = 0; tap < shape_.taps; ++tap)
        for (std::int64_t c = 0; c < std::min<std::int64_t>(4, shape_.outputs); ++c)
          ordered[static_cast<std::size_t>(begin + tap / kUnit * 16 + 2 * c +
                                           kTapPlaces[tap % kUnit])] =
              weight(first_output(b) + c, tap);
    }
    text_.array("INTRT_ALIGNED int16_t", name_ + "_weight", ordered);
  }

  void sum(const std::string& first_tap, const std::string& count) override {
    const std::string block = shape_.blocks() == 1 ? "0" : times("b", units(shape_) * 16);
    text_.line("intrt_dsp_dot_4x2(sums, {}, panel, {}, {});", start(),
               address(name_ + "_weight", plus(block, times(first_tap, 4))), units_of(count));
  }

 private:
  static std::string units_of(const std::string& taps) {
    const bool is_number = taps.find_first_not_of("0123456789") == std::string::npos;
    return is_number ? fmt::format("{}", std::stoll(taps) / kUnit)
                     : fmt::format("{} / {}", taps, kUnit);
  }
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
    StrategyCost cost;
    cost.instructions = pairs * (units(shape) * 14 + shape.blocks() * (units(shape) * 22 + 60));
    cost.constant_bytes = shape.blocks() * (units(shape) * 32 + 16);
    cost.code_bytes = 2200;
    cost.scratch_bytes = units(shape) * 16;
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
