#include "compile/backends/c_source/strategies/dsp_pairing.h"

namespace lockstep::backends {

void DspPanels::fill_panel() {
  if (!pairing_.is_3x3) return PanelConvolution::fill_panel();
  const Axis &rows = shape_.rows, &columns = shape_.columns;
  const std::string first = rows.first_tap("y"), left = columns.first_tap("x");
  const std::string from =
      plus(times(first == "0" ? "y0" : plus("y0", first), columns.input), plus("x0", left));
  text_.line("intrt_dsp_panel_3x3(panel, {}, {}, {}, {}, {}, {});", address("in", from),
             columns.input, first, rows.end_tap("y"), left,
             columns.cut_after() ? fmt::format("3 - {}", columns.end_tap("v")) : "0");
}

}  // namespace lockstep::backends
