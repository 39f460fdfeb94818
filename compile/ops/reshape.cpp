// The same elements in the same order (C,H,W), counted along other dimensions. The order in memory
// is another one, so that elements move unless the channels stay as they are.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "compile/ops/moving.h"

namespace lockstep::ops {
namespace {

ir::Shape target_shape(const Lowering& lowering) {
  // Beyond this no shape is one of a plan, and products stay within 64 bits.
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  const auto product = [&](const std::vector<std::int64_t>& factors) {
    std::int64_t result = 1;
    for (const std::int64_t factor : factors)
      result = factor > kMost ? kMost : std::min(result * factor, kMost);
    return result;
  };
  std::vector<std::int64_t> sizes = lowering.node().integers("shape");
  const std::int64_t elements = lowering.value().shape.count();
  const auto open = std::find(sizes.begin(), sizes.end(), -1);
  if (open != sizes.end()) {
    *open = 1;
    const std::int64_t others = product(sizes);
    *open = others > 0 ? elements / others : 0;
  }
  if (product(sizes) != elements)
    lowering.refuse(fmt::format("shape [{}] does not hold the {} elements of its input {}",
                                fmt::join(lowering.node().integers("shape"), ", "), elements,
                                lowering.shape_text()));
  return {.c = sizes[0],
          .h = sizes.size() == 3 ? sizes[1] : 1,
          .w = sizes.size() == 1 ? 1 : sizes.back(),
          .logical_rank = static_cast<int>(sizes.size())};
}

// Copies that keep the order (C,H,W). The sizes of both sides are split into common factors; each
// factor is one loop. Empty when sizes like 4 and 6 share no split, or too many.
std::vector<CopyLoop> common_loops(const Coordinates& in, const Coordinates& out) {
  std::vector<CopyLoop> loops;
  // From the last dimension on: how much of the current size of each side is left, and its step.
  std::size_t a = 3, b = 3;
  std::int64_t left_a = 1, left_b = 1, step_a = 1, step_b = 1;
  while (true) {
    while (left_a == 1 && a > 0) {
      left_a = in[--a];
      step_a = 1;
    }
    while (left_b == 1 && b > 0) {
      left_b = out[--b];
      step_b = 1;
    }
    if (left_a == 1 && left_b == 1) break;
    const std::int64_t count = std::min(left_a, left_b);
    if (left_a % count != 0 || left_b % count != 0) return {};
    CopyLoop loop{.count = count, .in_step = {}, .out_step = {}};
    loop.in_step[a] = step_a;
    loop.out_step[b] = step_b;
    loops.insert(loops.begin(), loop);
    left_a /= count;
    left_b /= count;
    step_a *= count;
    step_b *= count;
  }
  if (loops.empty()) loops.emplace_back();
  constexpr std::size_t kMostLoops = 4;
  return loops.size() > kMostLoops ? std::vector<CopyLoop>() : loops;
}

Coordinates coordinates(const ir::Shape& shape, std::int64_t element) {
  return {element / (shape.h * shape.w), element / shape.w % shape.h, element % shape.w};
}

// One copy for each run of elements that lie along the last dimension of both sides.
std::vector<Copy> runs(const ir::Shape& in, const ir::Shape& out) {
  const auto run_size = [](const ir::Shape& shape) {
    return shape.w > 1 ? shape.w : shape.h > 1 ? shape.h : shape.c;
  };
  const auto run_step = [](const ir::Shape& shape) -> Coordinates {
    if (shape.w > 1) return {0, 0, 1};
    return shape.h > 1 ? Coordinates{0, 1, 0} : Coordinates{1, 0, 0};
  };
  std::vector<Copy> copies;
  for (std::int64_t element = 0; element < in.count();) {
    const std::int64_t count =
        std::min(run_size(in) - element % run_size(in), run_size(out) - element % run_size(out));
    copies.push_back({.input = 0,
                      .in_first = coordinates(in, element),
                      .out_first = coordinates(out, element),
                      .loops = {{count, run_step(in), run_step(out)}}});
    if (copies.size() > kMostCopies) break;
    element += count;
  }
  return copies;
}

}  // namespace

NodeValue lower_reshape(Lowering& lowering) {
  const ir::Shape shape = target_shape(lowering);
  const ir::Shape& in = lowering.value().shape;
  if (shape == in) return lowering.input();
  const std::vector<CopyLoop> loops = common_loops({in.c, in.h, in.w}, {shape.c, shape.h, shape.w});
  if (!loops.empty())
    return move(lowering, shape, {{.input = 0, .in_first = {}, .out_first = {}, .loops = loops}});
  const std::vector<Copy> copies = runs(in, shape);
  if (copies.size() > kMostCopies)
    lowering.refuse(fmt::format(
        "its input has shape {}, which shares no regular order with shape [{}]; go over a vector: "
        "a reshape to [{}] before this one",
        lowering.shape_text(), fmt::join(lowering.node().integers("shape"), ", "), in.count()));
  return move(lowering, shape, copies);
}

}  // namespace lockstep::ops
