#include "compile/ops/window.h"

#include <fmt/format.h>

namespace lockstep::ops {

std::array<PoolAxis, 2> pool_axes(const Lowering& lowering) {
  const Node& node = lowering.node();
  require_spatial(lowering, node.integers("kernel_size").size());
  const ir::Shape& in = lowering.value().shape;
  const auto kernel = height_width(node.integers("kernel_size"), 1);
  const auto stride = height_width(node.integers("stride"), 1);
  const auto padding = height_width(node.integers("padding"), 0);
  std::array<std::int64_t, 2> dilation = {1, 1};
  if (node.attributes.contains("dilation")) dilation = height_width(node.integers("dilation"), 1);
  std::array<PoolAxis, 2> axes;
  for (const std::size_t a : {0, 1}) {
    PoolAxis& axis = axes[a];
    axis = {.size = a == 0 ? in.h : in.w,
            .kernel = kernel[a],
            .stride = stride[a],
            .padding = padding[a],
            .dilation = dilation[a],
            .positions = 1};
    const std::int64_t slack = axis.size + 2 * axis.padding - axis.reach();
    if (slack < 0)
      lowering.refuse(
          fmt::format("its window spans {} positions, but its input has {} with padding",
                      axis.reach(), axis.size + 2 * axis.padding));
    axis.positions = slack / axis.stride + 1;
    // ceil_mode: one more window where it begins inside the input or the padding before it.
    if (node.flag("ceil_mode") && slack % axis.stride != 0 &&
        axis.positions * axis.stride < axis.size + axis.padding)
      ++axis.positions;
  }
  return axes;
}

}  // namespace lockstep::ops
