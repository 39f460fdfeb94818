// The columns of an output that a convolution has loops of their own for.
#pragma once

#include <cstdint>

#include "compile/backends/c_source/functions/axis.h"

namespace lockstep::backends {

inline constexpr std::int64_t kMostBorders = 6;  // columns of the output with loops of their own

// The positions begin .. end - 1 of an axis where the whole window lies inside the input.
struct Inside {
  explicit Inside(const Axis& axis) {
    const auto is_inside = [&](std::int64_t position) {
      const std::int64_t first = position * axis.stride - axis.pad;
      return first >= 0 && first + (axis.kernel - 1) * axis.dilation < axis.input;
    };
    while (begin < axis.output && !is_inside(begin)) ++begin;
    end = begin;
    while (end < axis.output && is_inside(end)) ++end;
  }
  std::int64_t count() const { return end - begin; }
  std::int64_t begin = 0, end = 0;
};

// The taps first .. end - 1 of the window at one position of an axis that lie inside the input.
struct TapsAt {
  TapsAt(const Axis& axis, std::int64_t position) : start(position * axis.stride - axis.pad) {
    while (first < axis.kernel && start + first * axis.dilation < 0) ++first;
    end = first;
    while (end < axis.kernel && start + end * axis.dilation < axis.input) ++end;
  }
  std::int64_t start = 0;  // where tap 0 lies
  std::int64_t first = 0, end = 0;
};

}  // namespace lockstep::backends
