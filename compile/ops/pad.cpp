// More positions at the border: zeros, the inner positions mirrored at the border (reflect), or the
// border repeated (replicate).
#include <fmt/format.h>

#include <algorithm>

#include "compile/ops/moving.h"

namespace lockstep::ops {
namespace {

// Positions out, out + 1, ... come from in, in + in_step, ...
struct Segment {
  std::int64_t out, count, in, in_step;
};

std::vector<Segment> segments(const Lowering& lowering, std::int64_t size, std::int64_t before,
                              std::int64_t after) {
  const std::string& mode = lowering.node().choice("mode");
  std::vector<Segment> result;
  if (mode == "reflect" && std::max(before, after) >= size)
    lowering.refuse(
        fmt::format("it reflects {} positions, but its input has {}, of which {} can be",
                    std::max(before, after), size, size - 1));
  if (before > 0 && mode == "reflect") result.push_back({0, before, before, -1});
  if (before > 0 && mode == "replicate") result.push_back({0, before, 0, 0});
  result.push_back({before, size, 0, 1});
  if (after > 0 && mode == "reflect") result.push_back({before + size, after, size - 2, -1});
  if (after > 0 && mode == "replicate") result.push_back({before + size, after, size - 1, 0});
  return result;
}

}  // namespace

NodeValue lower_pad(Lowering& lowering) {
  const std::vector<std::int64_t>& padding = lowering.node().integers("padding");
  const ir::Shape& in = lowering.value().shape;
  if (in.logical_rank <= static_cast<int>(padding.size()) / 2)
    lowering.refuse(fmt::format("padding has {} numbers, but its input has shape {}",
                                padding.size(), lowering.shape_text()));
  const std::int64_t top = padding.size() == 4 ? padding[2] : 0,
                     bottom = padding.size() == 4 ? padding[3] : 0;
  ir::Shape shape = in;
  shape.h += top + bottom;
  shape.w += padding[0] + padding[1];
  std::vector<Copy> copies;
  for (const Segment& rows : segments(lowering, in.h, top, bottom))
    for (const Segment& columns : segments(lowering, in.w, padding[0], padding[1]))
      copies.push_back({.input = 0,
                        .in_first = {0, rows.in, columns.in},
                        .out_first = {0, rows.out, columns.out},
                        .loops = {{rows.count, {0, rows.in_step, 0}, {0, 1, 0}},
                                  {columns.count, {0, 0, columns.in_step}, {0, 0, 1}},
                                  {in.c, {1, 0, 0}, {1, 0, 0}}}});
  return move(lowering, shape, copies);
}

}  // namespace lockstep::ops
