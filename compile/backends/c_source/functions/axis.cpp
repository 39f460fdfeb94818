#include "compile/backends/c_source/functions/axis.h"

namespace lockstep::backends {

bool Axis::may_be_empty() const {
  for (std::int64_t position = 0; position < output; ++position) {
    bool touches = false;
    for (std::int64_t tap = 0; tap < kernel && !touches; ++tap) {
      const std::int64_t at = position * stride - pad + tap * dilation;
      touches = at >= 0 && at < input;
    }
    if (!touches) return true;
  }
  return false;
}

void Axis::clip(CText& text, std::string_view name) const {
  text.line("const int32_t {}0 = {}{};", name, times(name, stride),
            pad == 0 ? "" : fmt::format(" - {}", pad));
  const auto up = [&](const std::string& distance) {
    return dilation == 1 ? distance
                         : fmt::format("({} + {}) / {}", distance, dilation - 1, dilation);
  };
  if (cut_before())
    text.line("const int32_t {0}_first = {0}0 < 0 ? {1} : 0;", name, up(fmt::format("-{}0", name)));
  if (cut_after()) {
    const std::string room = up(fmt::format("({} - {}0)", input, name));
    text.line("const int32_t {0}_end = {1} < {2} ? {1} : {2};", name, room, kernel);
  }
}

std::string Axis::first_tap(std::string_view name) const {
  return cut_before() ? fmt::format("{}_first", name) : "0";
}

std::string Axis::end_tap(std::string_view name) const {
  return cut_after() ? fmt::format("{}_end", name) : fmt::format("{}", kernel);
}

Axis axis_of(const ir::Window& window, const ir::Shape& in, const ir::Shape& out, std::size_t a) {
  return {a == 0 ? in.h : in.w, a == 0 ? out.h : out.w, window.kernel[a],
          window.stride[a],     window.dilation[a],     window.pad[a]};
}

std::string window_position(const Axis& rows, const Axis& columns, const std::string& ky,
                            const std::string& kx) {
  return plus(times(plus("y0", times(ky, rows.dilation)), columns.input),
              plus("x0", times(kx, columns.dilation)));
}

}  // namespace lockstep::backends
