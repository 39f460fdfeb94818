#include "compile/backends/c_source/strategies/panel_convolution.h"

#include <algorithm>

#include "compile/backends/c_source/strategies/panel_memory.h"

namespace lockstep::backends {
namespace {

using namespace ir;

bool is_pointwise(const Window& window) {
  return window.kernel == std::array<std::int64_t, 2>{1, 1} &&
         window.stride == std::array<std::int64_t, 2>{1, 1} && !window.has_padding();
}

std::int64_t rounded_up(std::int64_t x, std::int64_t unit) { return (x + unit - 1) / unit * unit; }

}  // namespace

PanelShape::PanelShape(const Program& program, const Op& op, const Conv2d& conv)
    : rows(axis_of(conv.window, program.values.at(op.input()).shape,
                   program.values.at(op.output).shape, 0)),
      columns(axis_of(conv.window, program.values.at(op.input()).shape,
                      program.values.at(op.output).shape, 1)),
      inputs(program.values.at(op.input()).shape.c),
      outputs(program.values.at(op.output).shape.c) {
  if (is_pointwise(conv.window)) {
    columns.input = columns.output = rows.output * columns.output;
    rows.input = rows.output = 1;
  }
  row_taps = columns.kernel * inputs;
  taps = rows.kernel * row_taps;
}

PanelShape::PanelShape(const Axis& of_rows, const Axis& of_columns, std::int64_t input_channels,
                       std::int64_t output_channels)
    : rows(of_rows),
      columns(of_columns),
      inputs(input_channels),
      outputs(output_channels),
      row_taps(columns.kernel * inputs),
      taps(rows.kernel * row_taps) {}

// One row of the output in twenty-five, at least, has a row of its window in the padding.
bool PanelShape::leaves_rows_out(std::int64_t unit) const {
  return (rows.cut_before() || rows.cut_after()) && !rows.may_be_empty() && row_taps % unit == 0 &&
         rows.output <= 25;
}

const Conv2d* sums_of_windows(const Program& program, const Op& op) {
  const auto* const conv = std::get_if<Conv2d>(&op.kind);
  const bool fits = conv != nullptr && program.values.at(op.input()).type() == ElementType::kInt8 &&
                    conv->groups == 1 && !conv->wide && conv->segments.empty() &&
                    conv->window.dilation[1] == 1;
  return fits ? conv : nullptr;
}

const Conv2d* convolution_for_panels(const Program& program, const Op& op) {
  const Conv2d* const conv = sums_of_windows(program, op);
  return conv != nullptr && program.values.at(op.output).shape.w > 1 ? conv : nullptr;
}

FunctionCall PanelConvolution::emit() {
  weight_constants();
  block_constants(conv_.post, conv_.bias, conv_.accumulators);
  functions_of_blocks();

  const PanelMemory memory = panel_memory();
  text_.line("static INTRT_NOINLINE void {}(const int8_t *in, {} *out, {}) {{", name_, out_type(),
             memory.parameters("panel"));
  const bool one_row = shape_.rows.output == 1;
  if (one_row)
    text_.line("const int32_t y = 0;");
  else
    text_.line("for (int32_t y = 0; y < {}; ++y) {{", shape_.rows.output);
  shape_.rows.clip(text_, "y");
  const std::int64_t width = shape_.columns.output;
  if (width % 2 == 0) {
    text_.line("for (int32_t x = 0; x < {}; x += 2) {{", width);
  } else {
    text_.line("for (int32_t u = 0; u < {}; u += 2) {{", width);
    text_.line("const int32_t x = u < {} ? u : {};", width - 1, width - 2);
  }
  memory.declare(text_, "panel");
  fill_panel();
  sum_blocks();
  text_.line("}}");
  if (!one_row) text_.line("}}");
  finish_output(conv_.post);
  text_.line("}}");
  FunctionCall result = call();
  memory.add_to(result);
  return result;
}

// The element of the input under tap 0 of a row of the window that starts at column `x`.
std::string PanelConvolution::position(std::string_view column) const {
  const std::string row = plus("y0", times("ky", shape_.rows.dilation));
  return times(plus(times(row, shape_.columns.input), column), shape_.inputs);
}

// Each row of the window lies side by side in the input; what padding cuts off is 0.
void PanelConvolution::fill_row(const std::string& tap) {
  const Axis& columns = shape_.columns;
  std::string arguments = fmt::format("panel, {}, {}", tap, shape_.row_taps);
  for (const std::string name : {"x", "v"}) {
    const std::string first = columns.first_tap(name);
    arguments +=
        fmt::format(", {}, {}, {}",
                    address("in", position(first == "0" ? name + "0" : plus(name + "0", first))),
                    times(first, shape_.inputs), times(columns.end_tap(name), shape_.inputs));
  }
  text_.line("{}({});", panel_function(), arguments);
}

void PanelConvolution::fill_panel() {
  text_.line("const int32_t v = x + 1;");
  shape_.columns.clip(text_, "x");
  shape_.columns.clip(text_, "v");
  const Axis& rows = shape_.rows;
  if (rows.kernel == 1 && !rows.cut_before() && !rows.cut_after()) {
    text_.line("const int32_t ky = 0;");
    fill_row("0");
  } else if (leaves_rows_out() || (!rows.cut_before() && !rows.cut_after())) {
    const std::string first = rows.first_tap("y");
    text_.line("for (int32_t ky = {}; ky < {}; ++ky) {{", first, rows.end_tap("y"));
    fill_row(times(first == "0" || rows_keep_places() ? "ky" : fmt::format("ky - {}", first),
                   shape_.row_taps));
    text_.line("}}");
  } else if (shape_.row_taps % unit() != 0 && rows.kernel <= 8) {
    for (std::int64_t ky = 0; ky < rows.kernel; ++ky) {
      text_.line("{{");
      text_.line("const int32_t ky = {};", ky);
      fill_row_or_zeros(fmt::format("{}", ky * shape_.row_taps));
      text_.line("}}");
    }
  } else {
    text_.line("for (int32_t ky = 0; ky < {}; ++ky) {{", rows.kernel);
    fill_row_or_zeros(times("ky", shape_.row_taps));
    text_.line("}}");
  }
  const std::int64_t rest = rounded_up(shape_.taps, unit()) - shape_.taps;
  if (rest > 0)
    text_.line("{}(panel, {}, {}, in, 0, 0, in, 0, 0);", panel_function(), shape_.taps, rest);
}

// Row ky of the window at the tap `tap`: zeros where it lies in the padding.
void PanelConvolution::fill_row_or_zeros(const std::string& tap) {
  const Axis& rows = shape_.rows;
  std::string inside;
  if (rows.cut_before()) inside = fmt::format("ky >= {}", rows.first_tap("y"));
  if (rows.cut_after())
    inside += fmt::format("{}ky < {}", inside.empty() ? "" : " && ", rows.end_tap("y"));
  text_.line("if ({}) {{", inside);
  fill_row(tap);
  text_.line("}} else {{");
  text_.line("{}(panel, {}, {}, in, 0, 0, in, 0, 0);", panel_function(), tap, shape_.row_taps);
  text_.line("}}");
}

void PanelConvolution::sum_blocks() {
  const bool part = leaves_rows_out();
  const std::string first = shape_.rows.first_tap("y");
  const std::string begin = part && first != "0" ? times(first, shape_.row_taps) : "0";
  const std::string count =
      part ? times(first == "0" ? shape_.rows.end_tap("y")
                                : fmt::format("({} - {})", shape_.rows.end_tap("y"), first),
                   shape_.row_taps)
           : fmt::format("{}", rounded_up(shape_.taps, unit()));
  open_blocks(loop_hint());
  text_.line("int32_t sums[8];");
  sum(begin, count);
  text_.line("const int32_t element = {};",
             plus(times(plus(times("y", shape_.columns.output), "x"), outputs()), "o"));
  store_sums(conv_.post, outputs());
  close_blocks();
}

}  // namespace lockstep::backends
