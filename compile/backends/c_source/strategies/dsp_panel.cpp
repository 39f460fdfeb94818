// Convolutions on cores with SMLAD: intrt/micro/dsp.h.
#include <algorithm>

#include "compile/backends/c_source/arith_text.h"
#include "compile/backends/c_source/strategies/dsp_pairing.h"
#include "compile/backends/c_source/strategies/panel_convolution.h"
#include "compile/backends/c_source/strategies/strategy.h"
#include "compile/backends/weights.h"

namespace lockstep::backends {
namespace {

using namespace ir;

constexpr std::int64_t kShortSum = 8, kFewBlocks = 8;  // pairs and blocks that are unrolled

class DspConvolution : public DspPanels {
 public:
  using DspPanels::DspPanels;

 protected:
  std::string_view loop_hint() const override {
    return pairing_.pairs <= kShortSum && shape_.blocks() <= kFewBlocks ? "INTRT_DSP_UNROLL" : "";
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
};

// The same with weights of 8 bits, half as large, which are widened each time.
class DspCompactConvolution : public DspPanels {
 public:
  using DspPanels::DspPanels;

 protected:
  void weight_constants() override {
    std::vector<std::int64_t> ordered;
    for (std::int64_t b = 0; b < shape_.blocks(); ++b) {
      const std::int64_t begin = std::ssize(ordered);
      ordered.resize(static_cast<std::size_t>(begin + pairing_.pairs * 8));
      for (std::int64_t tap = 0; tap < shape_.taps; ++tap)
        for (std::int64_t c = 0; c < std::min<std::int64_t>(4, shape_.outputs); ++c)
          ordered[static_cast<std::size_t>(begin + tap / 4 * 16 + 4 * c + tap % 4)] =
              weight(first_output(b) + c, tap);
    }
    text_.array("INTRT_ALIGNED int8_t", name_ + "_weight", ordered);
  }

  void sum(const std::string& first_tap, const std::string& count) override {
    const bool is_number = count.find_first_not_of("0123456789") == std::string::npos;
    text_.line(
        "intrt_dsp_dot8_4x2(sums, {}, panel, {}, {});", start(),
        address(name_ + "_weight", plus(times("b", pairing_.pairs * 8), times(first_tap, 4))),
        is_number ? fmt::format("{}", std::stoll(count) / 4) : fmt::format("{} / 4", count));
  }
};

class DspPanelStrategy : public Strategy {
 public:
  std::string_view name() const override { return "panels, SMLAD"; }
  const char* micro_kernels() const override { return kDspText; }

  std::optional<StrategyCost> cost(const Program& program, const Op& op,
                                   const Target& target) const override {
    const Conv2d* const conv = convolution_for_panels(program, op);
    if (target.kernels != MicroKernels::kDsp || conv == nullptr) return std::nullopt;
    const PanelShape shape(program, op, *conv);
    const std::int64_t position_pairs = shape.rows.output * ((shape.columns.output + 1) / 2);
    const Pairing pairing(shape);
    StrategyCost cost;
    cost.instructions = position_pairs * (shape.taps * (pairing.in_order ? 5 : 4) +
                                          shape.blocks() * (pairing.pairs * 11 + 55));
    cost.constant_bytes = shape.blocks() * (pairing.pairs * 16 + 48);
    cost.code_bytes = 2200;
    cost.scratch_bytes = pairing.memory(program, op, shape).scratch_bytes();
    return cost;
  }

  FunctionCalls emit(const FunctionPlace& place) const override {
    const Op& op = place.program.ops.at(place.op_index);
    return {DspConvolution(place, std::get<Conv2d>(op.kind)).emit()};
  }
};

class DspCompactStrategy : public Strategy {
 public:
  std::string_view name() const override { return "panels, SMLAD, 8-bit weights"; }
  const char* micro_kernels() const override { return kDspText; }

  std::optional<StrategyCost> cost(const Program& program, const Op& op,
                                   const Target& target) const override {
    const Conv2d* const conv = convolution_for_panels(program, op);
    if (target.kernels != MicroKernels::kDsp || conv == nullptr) return std::nullopt;
    const PanelShape shape(program, op, *conv);
    const Pairing pairing(shape);
    if (pairing.in_order || pairing.is_3x3 || !fits_bytes(conv->weights)) return std::nullopt;
    const std::int64_t position_pairs = shape.rows.output * ((shape.columns.output + 1) / 2);
    StrategyCost cost;
    cost.instructions =
        position_pairs * (shape.taps * 4 + shape.blocks() * (pairing.pairs * 63 / 4 + 60));
    cost.constant_bytes = shape.blocks() * (pairing.pairs * 8 + 48);
    cost.code_bytes = 800;
    cost.scratch_bytes = pairing.memory(program, op, shape).scratch_bytes();
    return cost;
  }

  FunctionCalls emit(const FunctionPlace& place) const override {
    const Op& op = place.program.ops.at(place.op_index);
    return {DspCompactConvolution(place, std::get<Conv2d>(op.kind)).emit()};
  }
};

}  // namespace

const Strategy& dsp_compact_strategy() {
  static const DspCompactStrategy strategy;
  return strategy;
}

const Strategy& dsp_panel_strategy() {
  static const DspPanelStrategy strategy;
  return strategy;
}

}  // namespace lockstep::backends
