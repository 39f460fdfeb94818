// Prune as a node multiplies codes by a mask of zeros and ones, broadcast over the dimensions where
// the mask has size 1.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "compile/ops/lowering.h"

namespace lockstep::ops {
namespace {

// The mask's shape as C, H, W, for an input of `rank` dimensions without the batch.
std::array<std::int64_t, 3> logical_shape(const std::vector<std::int64_t>& shape) {
  switch (shape.size()) {
    case 1:
      return {shape[0], 1, 1};
    case 2:
      return {shape[0], 1, shape[1]};
    default:
      return {shape[0], shape[1], shape[2]};
  }
}

}  // namespace

ir::ValueId lower_prune(Lowering& lowering) {
  const ir::Value& input = lowering.input();
  const MaskParameters& mask = lowering.parameters().mask.value();
  const auto mismatch = [&] {
    lowering.refuse(fmt::format("its mask has shape [{}], but its input has shape {}{}",
                                fmt::join(mask.shape, ", "), lowering.input_shape(),
                                lowering.node().prune->strict
                                    ? ""
                                    : "; a mask of another size than it was trained for "
                                      "(strict = false) is not supported"));
  };
  if (mask.shape.size() != static_cast<std::size_t>(input.shape.logical_rank)) mismatch();
  const auto extent = logical_shape(mask.shape);
  const std::array<std::int64_t, 3> size = {input.shape.c, input.shape.h, input.shape.w};
  std::array<std::int64_t, 3>
      step{};  // of the mask's elements along C, H, W; 0 where it is broadcast
  std::int64_t elements = 1;
  for (std::size_t axis = 3; axis-- > 0;) {
    if (extent[axis] != size[axis] && extent[axis] != 1) mismatch();
    step[axis] = extent[axis] == 1 ? 0 : elements;
    elements *= extent[axis];
  }

  std::vector<std::uint8_t> keep;
  keep.reserve(static_cast<std::size_t>(input.shape.count()));
  for (std::int64_t c = 0; c < size[0]; ++c)
    for (std::int64_t y = 0; y < size[1]; ++y)
      for (std::int64_t x = 0; x < size[2]; ++x)
        keep.push_back(
            mask.keep.at(static_cast<std::size_t>(c * step[0] + y * step[1] + x * step[2])));

  ir::Post post{.requantize = {}, .mask = std::move(keep)};
  if (input.bits != 32) {
    const ir::Range all = ir::code_limits(input.bits);
    post.requantize = ir::Requantize{.shifts = {0},
                                     .rounding = Rounding::kTowardZero,
                                     .lo = static_cast<std::int32_t>(all.lo),
                                     .hi = static_cast<std::int32_t>(all.hi)};
  }
  return lowering.emit(ir::RequantizeOp{std::move(post)},
                       {input.shape, input.bits, input.decimals});
}

}  // namespace lockstep::ops
