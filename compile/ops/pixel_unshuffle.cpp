// out[c*r*r + i*r + j, y, x] = in[c, y*r + i, x*r + j].
#include <fmt/format.h>

#include "compile/ops/moving.h"

namespace lockstep::ops {

NodeValue lower_pixel_unshuffle(Lowering& lowering) {
  require_spatial(lowering, 2);
  const ir::Shape& in = lowering.value().shape;
  const std::int64_t r = lowering.node().integer("downscale_factor");
  if (in.h % r != 0 || in.w % r != 0)
    lowering.refuse(
        fmt::format("downscale_factor is {}, which does not divide the {} by {} "
                    "positions of its input",
                    r, in.h, in.w));
  const ir::Shape shape{in.c * r * r, in.h / r, in.w / r, 3};
  require_plan_size(lowering, shape);
  require_copies(lowering, static_cast<std::size_t>(r * r));
  std::vector<Copy> copies;
  for (std::int64_t i = 0; i < r; ++i)
    for (std::int64_t j = 0; j < r; ++j)
      copies.push_back({.input = 0,
                        .in_first = {0, i, j},
                        .out_first = {i * r + j, 0, 0},
                        .loops = {{shape.h, {0, r, 0}, {0, 1, 0}},
                                  {shape.w, {0, 0, r}, {0, 0, 1}},
                                  {in.c, {1, 0, 0}, {r * r, 0, 0}}}});
  return move(lowering, shape, copies);
}

}  // namespace lockstep::ops
