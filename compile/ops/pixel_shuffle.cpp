// out[c, y*r + i, x*r + j] = in[c*r*r + i*r + j, y, x].
#include <fmt/format.h>

#include "compile/ops/moving.h"

namespace lockstep::ops {

NodeValue lower_pixel_shuffle(Lowering& lowering) {
  require_spatial(lowering, 2);
  const ir::Shape& in = lowering.value().shape;
  const std::int64_t r = lowering.node().integer("upscale_factor");
  if (in.c % (r * r) != 0)
    lowering.refuse(
        fmt::format("upscale_factor is {}, so its input needs a multiple of {} "
                    "channels, but it has {}",
                    r, r * r, in.c));
  const ir::Shape shape{in.c / (r * r), in.h * r, in.w * r, 3};
  require_plan_size(lowering, shape);
  require_copies(lowering, static_cast<std::size_t>(r * r));
  std::vector<Copy> copies;
  for (std::int64_t i = 0; i < r; ++i)
    for (std::int64_t j = 0; j < r; ++j)
      copies.push_back({.input = 0,
                        .in_first = {i * r + j, 0, 0},
                        .out_first = {0, i, j},
                        .loops = {{in.h, {0, 1, 0}, {0, r, 0}},
                                  {in.w, {0, 0, 1}, {0, 0, r}},
                                  {shape.c, {r * r, 0, 0}, {1, 0, 0}}}});
  return move(lowering, shape, copies);
}

}  // namespace lockstep::ops
