// Convolutions by panels on cores with MVE: intrt/micro/mve.h. For windows whose rows are not made
// of whole vectors of 16 codes.
#include <algorithm>

#include "compile/backends/c_source/arith_text.h"
#include "compile/backends/c_source/strategies/mve_weights.h"
#include "compile/backends/c_source/strategies/panel_convolution.h"
#include "compile/backends/c_source/strategies/panel_memory.h"
#include "compile/backends/c_source/strategies/strategy.h"
#include "compile/backends/weights.h"

namespace lockstep::backends {
namespace {

using namespace ir;

constexpr std::int64_t kGroup = 16;

std::int64_t groups(const PanelShape& shape) { return (shape.taps + kGroup - 1) / kGroup; }

PanelMemory memory_of(const Program& program, const Op& op, const PanelShape& shape) {
  return {program, op, shape, ElementType::kInt8, groups(shape) * 32};
}

class MvePanel : public PanelConvolution {
 public:
  MvePanel(const FunctionPlace& place, const Conv2d& conv)
      : PanelConvolution(place, conv), kernel_(conv.weights) {
    by_position_ = true;
  }

 protected:
  PanelMemory panel_memory() const override { return memory_of(program_, op_, shape_); }
  std::string_view panel_function() const override { return "intrt_mve_panel"; }
  std::int64_t unit() const override { return kGroup; }

  void weight_constants() override {
    std::vector<std::int64_t> ordered;
    for (std::int64_t b = 0; b < shape_.blocks(); ++b)
      kernel_.append(
          ordered, std::min<std::int64_t>(4, shape_.outputs), shape_.taps,
          [&](std::int64_t c, std::int64_t tap) { return weight(first_output(b) + c, tap); });
    text_.array(kernel_.type(), name_ + "_weight", ordered);
  }

  void sum(const std::string& first_tap, const std::string& count) override {
    const std::string block = shape_.blocks() == 1 ? "0" : times("b", groups(shape_) * 64);
    const bool is_number = count.find_first_not_of("0123456789") == std::string::npos;
    text_.line("{}(sums, {}, panel, 16, 32, {}, 64, {}, 1);", kernel_.dot(), start(),
               address(name_ + "_weight", plus(block, times(first_tap, 4))),
               is_number ? fmt::format("{}", std::stoll(count) / kGroup) : count + " / 16");
  }

 private:
  const MveWeights kernel_;
};

class MvePanelStrategy : public Strategy {
 public:
  std::string_view name() const override { return "panels, VMLADAVA"; }
  const char* micro_kernels() const override { return kMveText; }

  std::optional<StrategyCost> cost(const Program& program, const Op& op,
                                   const Target& target) const override {
    const Conv2d* const conv = convolution_for_panels(program, op);
    if (target.kernels != MicroKernels::kMve || conv == nullptr) return std::nullopt;
    const PanelShape shape(program, op, *conv);
    const std::int64_t pairs = shape.rows.output * ((shape.columns.output + 1) / 2);
    const std::int64_t factor = MveWeights(conv->weights).factor();
    StrategyCost cost;
    cost.instructions =
        pairs * (shape.taps * 12 + shape.blocks() * (groups(shape) * factor * 16 + 40));
    cost.constant_bytes = shape.blocks() * (groups(shape) * factor * 64 + 48);
    cost.code_bytes = 800;
    cost.scratch_bytes = memory_of(program, op, shape).scratch_bytes();
    return cost;
  }

  FunctionCalls emit(const FunctionPlace& place) const override {
    const Op& op = place.program.ops.at(place.op_index);
    return {MvePanel(place, std::get<Conv2d>(op.kind)).emit()};
  }
};

}  // namespace

const Strategy& mve_panel_strategy() {
  static const MvePanelStrategy strategy;
  return strategy;
}

}  // namespace lockstep::backends
