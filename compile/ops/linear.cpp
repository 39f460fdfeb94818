// Matrix times vector.
#include <fmt/format.h>

#include "compile/ops/linear_operator.h"

namespace lockstep::ops {

NodeValue lower_linear(Lowering& lowering) {
  const ir::Shape in = lowering.value().shape;
  const Node& node = lowering.node();
  if (in.logical_rank != 1 || in.count() != node.integer("in_features"))
    lowering.refuse(fmt::format("its input has shape {}, but linear needs [{}]{}",
                                lowering.shape_text(), node.integer("in_features"),
                                in.logical_rank == 1 ? "" : " (a flatten node makes a vector)"));
  const ir::Shape shape{.c = node.integer("out_features"), .h = 1, .w = 1, .logical_rank = 1};
  require_plan_size(lowering, shape);
  AlignedWeights aligned = align_weights(
      lowering, {.inputs = in.count(), .outputs = shape.c, .groups = 1, .transposed = false});
  const std::vector<std::int64_t>& extent = lowering.parameters().weight_shape;
  ir::Linear linear;
  linear.weights = xt::xarray<std::int32_t>::from_shape({extent.begin(), extent.end()});
  std::copy(aligned.weights.begin(), aligned.weights.end(), linear.weights.begin());
  linear.bias = aligned.bias;
  return emit_sum(lowering, std::move(linear), shape, std::move(aligned));
}

}  // namespace lockstep::ops
