// Operators that compute nothing and only bring elements to other places: concat, slice, pad,
// reshape, transpose, pixel (un)shuffle, nearest upsampling. Each says where its elements come
// from; what that means for decimals, float functions and masks is the same for all.
#pragma once

#include "compile/ops/lowering.h"

namespace lockstep::ops {

using Coordinates = std::array<std::int64_t, 3>;  // channel, y, x

// A copy of up to four nested loops in logical coordinates; inner loops later. The element at
// in_first + sum of i_k * in_step[k] goes to out_first + sum of i_k * out_step[k].
struct CopyLoop {
  std::int64_t count = 1;
  Coordinates in_step{}, out_step{};
};
struct Copy {
  std::size_t input = 0;
  Coordinates in_first{}, out_first{};
  std::vector<CopyLoop> loops;
};

// The node's value, of `shape`, made by `copies` of its inputs; zero where none goes. Brings codes
// that meet in one channel to one grid, and all inputs to one width. Refuses float functions that
// meet in one channel and differ, and a zero fill of values whose float functions do not keep zero.
NodeValue move(Lowering& lowering, const ir::Shape& shape, const std::vector<Copy>& copies);

// The whole box of `extent` elements at `first`, as loops over y, x and channels.
Copy copy_box(const Coordinates& in_first, const Coordinates& out_first, const Coordinates& extent);

// Where graph.json counts dimensions with the batch: dim 1 to the input's rank, as an index of
// Coordinates (a rank of 2 has no height). Refuses other dims.
std::size_t coordinate_of(const Lowering& lowering, std::int64_t dim);
std::int64_t extent(const ir::Shape& shape, std::size_t coordinate);

// More pieces than any sensible network needs make plans large and slow. Refuses more.
inline constexpr std::size_t kMostCopies = 4096;
void require_copies(const Lowering& lowering, std::size_t copies);

}  // namespace lockstep::ops
