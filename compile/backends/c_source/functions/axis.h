// One axis of a sliding window, and the C text that finds the taps inside the input.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "compile/backends/c_source/c_text.h"
#include "compile/ir/ir.h"

namespace lockstep::backends {

struct Axis {
  std::int64_t input, output, kernel, stride, dilation, pad;

  bool cut_before() const { return pad > 0; }
  bool cut_after() const { return (output - 1) * stride - pad + dilation * (kernel - 1) >= input; }
  // Some position has no tap inside the input.
  bool may_be_empty() const;

  // Declares NAME0, where the window at position NAME starts, and where padding cuts it NAME_first
  // and NAME_end, the taps inside the input.
  void clip(CText& text, std::string_view name) const;
  std::string first_tap(std::string_view name) const;
  std::string end_tap(std::string_view name) const;
};

// Axis 0: rows, 1: columns.
Axis axis_of(const ir::Window& window, const ir::Shape& in, const ir::Shape& out, std::size_t a);

// The input position, counted through rows, of tap (ky, kx) of the window at (y0, x0).
std::string window_position(const Axis& rows, const Axis& columns, const std::string& ky,
                            const std::string& kx);

}  // namespace lockstep::backends
