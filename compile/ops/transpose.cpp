// Two dimensions change places.
#include <utility>

#include "compile/ops/moving.h"

namespace lockstep::ops {

NodeValue lower_transpose(Lowering& lowering) {
  const std::size_t a = coordinate_of(lowering, lowering.node().integer("dim0")),
                    b = coordinate_of(lowering, lowering.node().integer("dim1"));
  if (a == b) return lowering.input();
  const ir::Shape& in = lowering.value().shape;
  Copy copy = copy_box({}, {}, {in.c, in.h, in.w});
  for (CopyLoop& loop : copy.loops) std::swap(loop.out_step[a], loop.out_step[b]);
  Coordinates size = {in.c, in.h, in.w};
  std::swap(size[a], size[b]);
  return move(lowering, {size[0], size[1], size[2], in.logical_rank}, {copy});
}

}  // namespace lockstep::ops
