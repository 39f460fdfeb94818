// One input behind the other along one dimension.
#include <fmt/format.h>

#include "compile/ops/moving.h"

namespace lockstep::ops {

NodeValue lower_concat(Lowering& lowering) {
  const std::size_t along = coordinate_of(lowering, lowering.node().integer("dim"));
  ir::Shape shape = lowering.value(0).shape;
  std::vector<Copy> copies;
  std::int64_t begin = 0;
  for (std::size_t k = 0; k < lowering.input_count(); ++k) {
    const ir::Shape& in = lowering.value(k).shape;
    bool fits = in.logical_rank == shape.logical_rank;
    for (std::size_t i = 0; i < 3; ++i) fits &= i == along || extent(in, i) == extent(shape, i);
    if (!fits)
      lowering.refuse(fmt::format(
          "its inputs have shapes {} and {}; they must be equal but for "
          "dimension {}",
          lowering.shape_text(0), lowering.shape_text(k), lowering.node().integer("dim")));
    Coordinates to{};
    to[along] = begin;
    copies.push_back(copy_box({}, to, {in.c, in.h, in.w}));
    copies.back().input = k;
    begin += extent(in, along);
  }
  (along == 0 ? shape.c : along == 1 ? shape.h : shape.w) = begin;
  return move(lowering, shape, copies);
}

}  // namespace lockstep::ops
