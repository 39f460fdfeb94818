// Every step-th index from `start` up to, and without, `end` along one dimension.
#include <fmt/format.h>

#include <algorithm>

#include "compile/ops/moving.h"

namespace lockstep::ops {

NodeValue lower_slice(Lowering& lowering) {
  const Node& node = lowering.node();
  const std::size_t along = coordinate_of(lowering, node.integer("dim"));
  ir::Shape shape = lowering.value().shape;
  const std::int64_t size = extent(shape, along), start = node.integer("start"),
                     end = std::min(node.integer("end"), size),
                     step = std::min(node.integer("step"), size);
  if (start >= end)
    lowering.refuse(
        fmt::format("it takes {} to {} of {} indices, which are none", start, end, size));
  (along == 0 ? shape.c : along == 1 ? shape.h : shape.w) = (end - start + step - 1) / step;
  Coordinates from{};
  from[along] = start;
  Copy copy = copy_box(from, {}, {shape.c, shape.h, shape.w});
  for (CopyLoop& loop : copy.loops) loop.in_step[along] *= step;
  return move(lowering, shape, {copy});
}

}  // namespace lockstep::ops
