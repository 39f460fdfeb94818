#include "compile/backends/c_source/strategies/dsp_pairing.h"

namespace lockstep::backends {

void DspPanels::fill_panel() {
  if (!pairing_.is_3x3) return PanelConvolution::fill_panel();
  const Axis &rows = shape_.rows, &columns = shape_.columns;
  const std::string first = rows.first_tap("y");
  text_.line("const int32_t x0 = {};", columns.pad == 0 ? "x" : fmt::format("x - {}", columns.pad));
  const std::string left = columns.cut_before() ? "(x0 < 0 ? 1 : 0)" : "0";
  const std::string row = first == "0" ? "y0" : plus("y0", first);
  text_.line("intrt_dsp_panel_3x3(panel, {}, {}, {}, {}, {}, {});",
             address("in", plus(times(row, columns.input), plus("x0", left))), columns.input, first,
             rows.end_tap("y"), left,
             columns.cut_after() ? fmt::format("(x0 + 3 >= {} ? 1 : 0)", columns.input) : "0");
}

}  // namespace lockstep::backends
