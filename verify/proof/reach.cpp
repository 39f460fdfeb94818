#include "verify/proof/reach.h"

#include "verify/proof/plan_check.h"

namespace lockstep::verify {

Reach reach_of(const PlanOp& op, const VisibleTensor& input, const VisibleTensor& output) {
  if (op.code == PlanOp::kLinear)
    return {.fan_in = input.element_count(),
            .window = {},
            .group_outputs = output.element_count(),
            .group_inputs = input.element_count()};
  const std::int64_t group_inputs = input.channels / op.groups;
  return {.fan_in = group_inputs * op.window.kernel_h * op.window.kernel_w,
          .window = op.window,
          .group_outputs = output.channels / op.groups,
          .group_inputs = group_inputs,
          .in_height = input.height,
          .in_width = input.width,
          .out_width = output.width};
}

std::int64_t weight_index(const PlanOp& op, const VisibleTensor& input, std::int64_t output_channel,
                          std::int64_t k) {
  if (op.code == PlanOp::kLinear)
    return output_channel * input.element_count() + physical_index(input, k);
  // [O][kh][kw][I] from [O][I][kh][kw]
  const std::int64_t taps = op.window.kernel_h * op.window.kernel_w;
  return (output_channel * taps + k % taps) * (input.channels / op.groups) + k / taps;
}

}  // namespace lockstep::verify
