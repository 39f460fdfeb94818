#include "verify/proof/reach.h"

#include <algorithm>
#include <cstdlib>

#include "verify/semantics/index.h"
#include "verify/semantics/operators.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {

Reach reach_of(const PlanOp& op, const VisibleTensor& input, const VisibleTensor& output) {
  if (op.code == PlanOp::kLinear)
    return {.fan_in = input.element_count(),
            .transposed = false,
            .window = {},
            .group_outputs = output.element_count(),
            .group_inputs = input.element_count()};
  const std::int64_t group_inputs = input.channels / op.groups;
  return {.fan_in = group_inputs * op.window.kernel_h * op.window.kernel_w,
          .transposed = op.code == PlanOp::kConvTranspose2d,
          .window = op.window,
          .group_outputs = output.channels / op.groups,
          .group_inputs = group_inputs,
          .in_height = input.height,
          .in_width = input.width,
          .out_width = output.width};
}

Reach reach_of_node(const Node& node, const Format& input, const Format& output) {
  if (node.op == "linear")
    return {.fan_in = input.element_count(),
            .transposed = false,
            .window = {},
            .group_outputs = output.element_count(),
            .group_inputs = input.element_count()};
  const SlidingWindow window = sliding_window(node);
  const HeightWidth in = spatial_extent(node, input.shape, window.axes);
  const std::int64_t groups = node.integer("groups"), group_inputs = input.shape[0] / groups;
  Reach reach;
  reach.fan_in = group_inputs * window.kernel.height * window.kernel.width;
  reach.transposed = node.op.starts_with("conv_transpose");
  reach.window = {.kernel_h = window.kernel.height,
                  .kernel_w = window.kernel.width,
                  .stride_h = window.stride.height,
                  .stride_w = window.stride.width,
                  .dilation_h = window.dilation.height,
                  .dilation_w = window.dilation.width,
                  .pad_top = window.padding.height,
                  .pad_left = window.padding.width};
  reach.group_outputs = output.shape[0] / groups;
  reach.group_inputs = group_inputs;
  reach.in_height = in.height;
  reach.in_width = in.width;
  reach.out_width = output.shape.back();
  return reach;
}

std::int64_t weight_index(const PlanOp& op, const VisibleTensor& input, std::int64_t output_channel,
                          std::int64_t k) {
  if (op.code == PlanOp::kLinear)
    return output_channel * input.element_count() + physical_index(input, k);
  // [O][kh][kw][I] from [O][I][kh][kw]
  const std::int64_t taps = op.window.kernel_h * op.window.kernel_w;
  return (output_channel * taps + k % taps) * (input.channels / op.groups) + k / taps;
}

bool is_scaled(std::int64_t expected, std::int64_t found, int finer) {
  if (expected == 0 || found == 0) return expected == found;
  if (std::abs(finer) > 62) return false;
  Int128 a = expected, b = found;
  (finer > 0 ? a : b) *= Int128{1} << std::abs(finer);
  return a == b;
}

SumRange sum_range(std::span<const std::int64_t> row, const Reach& reach, const ElementFacts& input,
                   std::int64_t output, std::int64_t position) {
  const std::int64_t bias = row.back();
  SumRange range = {bias, bias, std::min<std::int64_t>(bias, 0), std::max<std::int64_t>(bias, 0)};
  reach.each(output, position, [&](std::int64_t k, std::int64_t element) {
    const std::int64_t a = row[at(k)] * input.lo[at(element)];
    const std::int64_t b = row[at(k)] * input.hi[at(element)];
    range.lo += std::min(a, b);
    range.hi += std::max(a, b);
    range.partial_lo += std::min<std::int64_t>({a, b, 0});
    range.partial_hi += std::max<std::int64_t>({a, b, 0});
  });
  return range;
}

}  // namespace lockstep::verify
