// Convolutions with zero padding, stride, dilation and groups. A code of zero means zero on every
// grid, so padding needs no decimal.
#include "compile/ops/convolution.h"

#include <fmt/format.h>

#include "compile/ops/linear_operator.h"

namespace lockstep::ops {
namespace {

using Pair = std::array<std::int64_t, 2>;

struct Geometry {
  std::size_t axes;
  Pair kernel, stride, padding, dilation;
};

Geometry geometry_of(const Lowering& lowering) {
  const Node& node = lowering.node();
  const std::size_t axes = node.integers("kernel_size").size();
  const ir::Shape& in = lowering.value().shape;
  if (in.logical_rank != static_cast<int>(axes) + 1 || in.c != node.integer("in_channels"))
    lowering.refuse(fmt::format("its input has shape {}, but {} needs [{}, {}]",
                                lowering.shape_text(), node.op, node.integer("in_channels"),
                                axes == 1 ? "L" : "H, W"));
  return {axes, height_width(node.integers("kernel_size"), 1),
          height_width(node.integers("stride"), 1), height_width(node.integers("padding"), 0),
          height_width(node.integers("dilation"), 1)};
}

template <typename Conv>
void set_weights(Conv& conv, const AlignedWeights& aligned, std::int64_t outputs,
                 std::int64_t group_inputs, const Pair& kernel) {
  const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  conv.weights = xt::xarray<std::int32_t>::from_shape(
      {size(outputs), size(group_inputs), size(kernel[0]), size(kernel[1])});
  std::copy(aligned.weights.begin(), aligned.weights.end(), conv.weights.begin());
  conv.bias = aligned.bias;
}

}  // namespace

NodeValue lower_convolution(Lowering& lowering) {
  const Geometry g = geometry_of(lowering);
  const Node& node = lowering.node();
  const ir::Shape in = lowering.value().shape;
  ir::Conv2d conv;
  conv.groups = node.integer("groups");
  conv.window = {.kernel = g.kernel,
                 .stride = g.stride,
                 .dilation = g.dilation,
                 .pad = {g.padding[0], g.padding[1], g.padding[0], g.padding[1]}};
  ir::Shape shape{.c = node.integer("out_channels"),
                  .h = conv.window.output_size(0, in.h),
                  .w = conv.window.output_size(1, in.w),
                  .logical_rank = in.logical_rank};
  for (const std::size_t axis : {0, 1})
    if ((axis == 0 ? shape.h : shape.w) < 1)
      lowering.refuse(
          fmt::format("its kernel spans {} positions, but its input has {} with padding",
                      g.dilation[axis] * (g.kernel[axis] - 1) + 1,
                      (axis == 0 ? in.h : in.w) + 2 * g.padding[axis]));
  require_plan_size(lowering, shape);
  AlignedWeights aligned = align_weights(
      lowering, {.inputs = in.c, .outputs = shape.c, .groups = conv.groups, .transposed = false});
  set_weights(conv, aligned, shape.c, in.c / conv.groups, g.kernel);
  return emit_sum(lowering, std::move(conv), shape, std::move(aligned));
}

NodeValue lower_transposed_convolution(Lowering& lowering) {
  const Geometry g = geometry_of(lowering);
  const Node& node = lowering.node();
  const ir::Shape in = lowering.value().shape;
  const Pair more = height_width(node.integers("output_padding"), 0);
  ir::ConvTranspose2d conv{.kernel = g.kernel,
                           .stride = g.stride,
                           .dilation = g.dilation,
                           .pad = g.padding,
                           .groups = node.integer("groups"),
                           .weights = {},
                           .bias = {},
                           .accumulators = {},
                           .post = {}};
  const auto extent = [&](std::size_t axis, std::int64_t size) {
    return (size - 1) * g.stride[axis] - 2 * g.padding[axis] +
           g.dilation[axis] * (g.kernel[axis] - 1) + 1 + more[axis];
  };
  const ir::Shape shape{.c = node.integer("out_channels"),
                        .h = extent(0, in.h),
                        .w = extent(1, in.w),
                        .logical_rank = in.logical_rank};
  if (shape.h < 1 || shape.w < 1)
    lowering.refuse(
        fmt::format("its padding leaves no output: {} by {} positions", shape.h, shape.w));
  require_plan_size(lowering, shape);
  AlignedWeights aligned = align_weights(
      lowering, {.inputs = in.c, .outputs = shape.c, .groups = conv.groups, .transposed = true});
  set_weights(conv, aligned, shape.c, in.c / conv.groups, g.kernel);
  return emit_sum(lowering, std::move(conv), shape, std::move(aligned));
}

}  // namespace lockstep::ops
