// Panels of pairs of taps: intrt/micro/dsp.h.
#pragma once

#include <cstdint>
#include <string>

#include "compile/backends/c_source/strategies/panel_convolution.h"
#include "compile/backends/c_source/strategies/panel_memory.h"

namespace lockstep::backends {

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

  PanelMemory memory(const ir::Program& program, const ir::Op& op, const PanelShape& shape) const {
    return {program, op, shape, ir::ElementType::kInt16, 4 * pairs};
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

// What dense and sparse sums over such panels have in common.
class DspPanels : public PanelConvolution {
 public:
  DspPanels(const FunctionPlace& place, const ir::Conv2d& conv)
      : PanelConvolution(place, conv), pairing_(shape_) {}

 protected:
  PanelMemory panel_memory() const override { return pairing_.memory(program_, op_, shape_); }
  std::string_view panel_function() const override {
    return pairing_.in_order ? "intrt_dsp_panel_in_order" : "intrt_dsp_panel";
  }
  std::int64_t unit() const override { return pairing_.unit; }
  void fill_panel() override;

  const Pairing pairing_;
};

}  // namespace lockstep::backends
