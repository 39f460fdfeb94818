// Two-dimensional convolution with zero padding, stride, dilation and groups. A code of zero means
// zero on every grid, so padding needs no decimal.
#include <fmt/format.h>

#include "compile/ops/linear_operator.h"

namespace lockstep::ops {

ir::ValueId lower_conv2d(Lowering& lowering) {
  const ir::Shape& in = lowering.input().shape;
  const Node& node = lowering.node();
  const std::int64_t groups = node.integer("groups");
  if (in.logical_rank != 3 || in.c != node.integer("in_channels"))
    lowering.refuse(fmt::format("its input has shape {}, but conv2d needs [{}, H, W]",
                                lowering.input_shape(), node.integer("in_channels")));
  ir::Conv2d conv;
  conv.groups = groups;
  ir::Shape shape{.c = node.integer("out_channels"), .h = 0, .w = 0, .logical_rank = 3};
  for (const std::size_t axis : {0, 1}) {
    conv.window.kernel[axis] = node.integers("kernel_size")[axis];
    conv.window.stride[axis] = node.integers("stride")[axis];
    conv.window.dilation[axis] = node.integers("dilation")[axis];
    conv.window.pad[axis] = conv.window.pad[axis + 2] = node.integers("padding")[axis];
    const std::int64_t size = axis == 0 ? in.h : in.w;
    const std::int64_t positions = conv.window.output_size(static_cast<int>(axis), size);
    if (positions < 1)
      lowering.refuse(
          fmt::format("its kernel spans {} positions, but its input has {} with padding",
                      conv.window.dilation[axis] * (conv.window.kernel[axis] - 1) + 1,
                      size + 2 * conv.window.pad[axis]));
    (axis == 0 ? shape.h : shape.w) = positions;
  }
  require_plan_size(lowering, shape);

  AlignedWeights aligned = align_weights(lowering, groups);
  const std::vector<std::int64_t>& extent = lowering.parameters().weight_shape;
  conv.weights = xt::xarray<std::int32_t>::from_shape({extent.begin(), extent.end()});
  std::copy(aligned.weights.begin(), aligned.weights.end(), conv.weights.begin());
  conv.bias = std::move(aligned.bias);
  conv.accumulators = lowering.bounds(conv);
  require_accumulators_fit(lowering, conv.accumulators);
  return lowering.emit(std::move(conv), {shape, 32, std::move(aligned.decimals)});
}

}  // namespace lockstep::ops
