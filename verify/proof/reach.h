// Which input elements the weights of a linear operator meet, and where the plan keeps each weight.
// Weight k of output channel o is counted as in PyTorch: [I][kernel_h][kernel_w], or input k.
#pragma once

#include <cstdint>
#include <span>

#include "verify/proof/plan_check.h"
#include "verify/proof/plan_reader.h"

namespace lockstep::verify {

// Which input elements the weights of one output element meet.
struct Reach {
  std::int64_t fan_in = 0;  // weights per output channel
  // A convolution's geometry; a linear layer has one tap, one group and as many channels as inputs.
  PlanWindow window;
  std::int64_t group_outputs = 1, group_inputs = 1;
  std::int64_t in_height = 1, in_width = 1, out_width = 1;

  // Calls visit(k, element) for each weight k of channel `output` that meets an input element, by
  // its place in (C,H,W) order, at `position` in the output's plane. In the padding it meets none.
  template <typename Visit>
  void each(std::int64_t output, std::int64_t position, const Visit& visit) const {
    const std::int64_t first_channel = output / group_outputs * group_inputs;
    const std::int64_t y0 = position / out_width * window.stride_h - window.pad_top;
    const std::int64_t x0 = position % out_width * window.stride_w - window.pad_left;
    const std::int64_t taps = window.kernel_h * window.kernel_w;
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      const std::int64_t y = y0 + tap / window.kernel_w * window.dilation_h;
      const std::int64_t x = x0 + tap % window.kernel_w * window.dilation_w;
      if (y < 0 || y >= in_height || x < 0 || x >= in_width) continue;
      for (std::int64_t i = 0; i < group_inputs; ++i)
        visit(i * taps + tap, ((first_channel + i) * in_height + y) * in_width + x);
    }
  }
};

Reach reach_of(const PlanOp& op, const VisibleTensor& input, const VisibleTensor& output);

// The index of weight k of channel `output_channel` in op.weights.
std::int64_t weight_index(const PlanOp& op, const VisibleTensor& input, std::int64_t output_channel,
                          std::int64_t k);

// The range of the sum of one output element. `partial`: of every partial sum, in any order.
struct SumRange {
  std::int64_t lo, hi, partial_lo, partial_hi;
};
// `row`: the weights of channel `output` and, last, its bias, or 0.
SumRange sum_range(std::span<const std::int64_t> row, const Reach& reach, const ElementFacts& input,
                   std::int64_t output, std::int64_t position);

}  // namespace lockstep::verify
