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
  bool transposed = false;  // of a convolution that is one
  // A convolution's geometry; a linear layer has one tap, one group and as many channels as inputs.
  PlanWindow window;
  std::int64_t group_outputs = 1, group_inputs = 1;
  std::int64_t in_height = 1, in_width = 1, out_width = 1;

  // Calls visit(k, element) for each weight k of channel `output` that meets an input element, by
  // its place in (C,H,W) order, at `position` in the output's plane. In the padding it meets none.
  template <typename Visit>
  void each(std::int64_t output, std::int64_t position, const Visit& visit) const {
    const std::int64_t first_channel = output / group_outputs * group_inputs;
    const std::int64_t taps = window.kernel_h * window.kernel_w;
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      const std::int64_t y = source(position / out_width, tap / window.kernel_w, window.stride_h,
                                    window.pad_top, window.dilation_h);
      const std::int64_t x = source(position % out_width, tap % window.kernel_w, window.stride_w,
                                    window.pad_left, window.dilation_w);
      if (y < 0 || y >= in_height || x < 0 || x >= in_width) continue;
      for (std::int64_t i = 0; i < group_inputs; ++i)
        visit(i * taps + tap, ((first_channel + i) * in_height + y) * in_width + x);
    }
  }

 private:
  // The input row (or column) that tap `tap` of an output row reads; -1: none.
  std::int64_t source(std::int64_t output, std::int64_t tap, std::int64_t stride, std::int64_t pad,
                      std::int64_t dilation) const {
    if (!transposed) return output * stride - pad + tap * dilation;
    const std::int64_t scaled = output + pad - tap * dilation;
    return scaled < 0 || scaled % stride != 0 ? -1 : scaled / stride;
  }
};

Reach reach_of(const PlanOp& op, const VisibleTensor& input, const VisibleTensor& output);
// The same of a convolution, transposed convolution or linear layer of the graph.
Reach reach_of_node(const Node& node, const Format& input, const Format& output);

// The index of weight k of channel `output_channel` in op.weights.
std::int64_t weight_index(const PlanOp& op, const VisibleTensor& input, std::int64_t output_channel,
                          std::int64_t k);

// found == expected * 2^finer.
bool is_scaled(std::int64_t expected, std::int64_t found, int finer);

// The range of the sum of one output element. `partial`: of every partial sum, in any order.
struct SumRange {
  std::int64_t lo, hi, partial_lo, partial_hi;
};
// `row`: the weights of channel `output` and, last, its bias, or 0.
SumRange sum_range(std::span<const std::int64_t> row, const Reach& reach, const ElementFacts& input,
                   std::int64_t output, std::int64_t position);

}  // namespace lockstep::verify
