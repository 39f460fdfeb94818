// Prune as a node multiplies codes by a mask of zeros and ones, broadcast over the dimensions where
// the mask has size 1.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "compile/ops/lowering.h"

namespace lockstep::ops {
namespace {

using Extents = std::array<std::int64_t, 3>;  // C, H, W

// The mask's shape as C, H, W.
Extents logical_shape(const std::vector<std::int64_t>& shape) {
  switch (shape.size()) {
    case 1:
      return {shape[0], 1, 1};
    case 2:
      return {shape[0], 1, shape[1]};
    default:
      return {shape[0], shape[1], shape[2]};
  }
}

// Which index of the mask stands at each index of the input along one axis; -1 where none does and
// everything is kept. A mask of another size (strict = false) is repeated as often as it fits
// whole, and centred.
std::vector<std::int64_t> mask_indices(std::int64_t size, std::int64_t mask) {
  const std::int64_t repeats = size / mask, tiled = repeats * mask, first = (size - tiled) / 2;
  std::vector<std::int64_t> indices(static_cast<std::size_t>(size), -1);
  for (std::int64_t i = 0; i < tiled; ++i) indices[static_cast<std::size_t>(first + i)] = i % mask;
  return indices;
}

std::vector<std::uint8_t> spread_mask(const Lowering& lowering, const MaskParameters& mask) {
  const ir::Shape& shape = lowering.value().shape;
  const bool strict = lowering.node().prune->strict;
  const Extents size = {shape.c, shape.h, shape.w};
  Extents extent{};
  bool fits = mask.shape.size() == static_cast<std::size_t>(shape.logical_rank);
  if (fits) extent = logical_shape(mask.shape);
  for (std::size_t axis = 0; axis < 3; ++axis)
    fits =
        fits && extent[axis] >= 1 && (!strict || extent[axis] == size[axis] || extent[axis] == 1);
  if (!fits)
    lowering.refuse(
        fmt::format("its mask has shape [{}], but its input has shape {}; strict = false would "
                    "repeat a mask of the right rank",
                    fmt::join(mask.shape, ", "), lowering.shape_text()));
  std::array<std::vector<std::int64_t>, 3> at;
  for (std::size_t axis = 0; axis < 3; ++axis) at[axis] = mask_indices(size[axis], extent[axis]);
  std::vector<std::uint8_t> keep;
  keep.reserve(static_cast<std::size_t>(shape.count()));
  for (const std::int64_t c : at[0])
    for (const std::int64_t y : at[1])
      for (const std::int64_t x : at[2])
        keep.push_back(c < 0 || y < 0 || x < 0 ? 1
                                               : mask.keep.at(static_cast<std::size_t>(
                                                     (c * extent[1] + y) * extent[2] + x)));
  return keep;
}

}  // namespace

NodeValue lower_prune(Lowering& lowering) {
  std::vector<std::uint8_t> keep = spread_mask(lowering, lowering.parameters().mask.value());
  NodeValue result = lowering.input();
  if (result.pending) {
    std::vector<std::uint8_t>& mask = result.pending->mask;
    if (mask.empty()) mask.assign(keep.size(), 1);
    for (std::size_t i = 0; i < keep.size(); ++i) mask[i] &= keep[i];
    return result;
  }
  const ir::Value input = lowering.value();
  ir::Post post{.function = {}, .mask = std::move(keep)};
  if (input.bits <= ir::kMostCodeBits) post.function = ir::identity_requantize(input.bits);
  result.id = lowering.emit(ir::RequantizeOp{std::move(post)}, {result.id},
                            {.shape = input.shape, .bits = input.bits, .decimals = input.decimals});
  return result;
}

}  // namespace lockstep::ops
