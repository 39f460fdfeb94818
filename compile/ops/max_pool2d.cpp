// Max pooling compares codes, and codes of one channel share one grid, so it is exact as it stands.
// ceil_mode needs no mode of its own: its last windows are those of a larger trailing padding.
#include <fmt/format.h>
#include <algorithm>

#include "compile/ops/lowering.h"

namespace lockstep::ops {

ir::ValueId lower_max_pool2d(Lowering& lowering) {
  const ir::Value& input = lowering.input();
  const Node& node = lowering.node();
  if (input.shape.logical_rank != 3)
    lowering.refuse(fmt::format("its input has shape {}, but max_pool2d needs [C, H, W]",
                                lowering.input_shape()));
  ir::Window window;
  ir::Shape shape = input.shape;
  for (const std::size_t axis : {0, 1}) {
    const std::int64_t size = axis == 0 ? input.shape.h : input.shape.w;
    const std::int64_t kernel = node.integers("kernel_size")[axis],
                       stride = node.integers("stride")[axis];
    const std::int64_t pad = node.integers("padding")[axis],
                       dilation = node.integers("dilation")[axis];
    const std::int64_t reach = dilation * (kernel - 1) + 1;
    const std::int64_t slack = size + 2 * pad - reach;
    if (slack < 0)
      lowering.refuse(
          fmt::format("its window spans {} positions, but its input has {} with padding", reach,
                      size + 2 * pad));
    if (pad > 0 && dilation > size)
      lowering.refuse(
          fmt::format("dilation {} with padding leaves windows that hold no position of "
                      "an input of size {}",
                      dilation, size));
    std::int64_t positions = slack / stride + 1;
    if (node.flag("ceil_mode") && slack % stride != 0 && positions * stride < size + pad)
      ++positions;
    window.kernel[axis] = kernel;
    window.stride[axis] = stride;
    window.dilation[axis] = dilation;
    window.pad[axis] = pad;
    window.pad[axis + 2] = std::max(pad, (positions - 1) * stride + reach - size - pad);
    (axis == 0 ? shape.h : shape.w) = positions;
  }
  return lowering.emit(ir::MaxPool2d{window}, {shape, input.bits, input.decimals});
}

}  // namespace lockstep::ops
