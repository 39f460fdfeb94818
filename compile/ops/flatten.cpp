// Flatten from dimension 1: every position of every channel becomes a feature of its own.
#include "compile/ops/lowering.h"

namespace lockstep::ops {
namespace {

template <typename T>
std::vector<T> per_feature(const ir::Shape& shape, const std::vector<T>& per_channel) {
  std::vector<T> result;
  for (const T& of_channel : per_channel)
    result.insert(result.end(), static_cast<std::size_t>(shape.h * shape.w), of_channel);
  return result;
}

}  // namespace

NodeValue lower_flatten(Lowering& lowering) {
  const ir::Value input = lowering.value();
  NodeValue result = lowering.input();
  if (input.shape.logical_rank == 1) return result;
  std::vector<int> decimals;
  for (std::int64_t c = 0; c < input.shape.c; ++c) decimals.push_back(input.decimal(c));
  result.id = lowering.emit(ir::Flatten{}, {result.id},
                            {.shape = {.c = input.shape.count(), .h = 1, .w = 1, .logical_rank = 1},
                             .bits = input.bits,
                             .decimals = per_feature(input.shape, decimals),
                             .exact = !result.pending});
  if (result.pending) result.pending->chains = per_feature(input.shape, result.pending->chains);
  return result;  // a mask keeps its order (C,H,W)
}

}  // namespace lockstep::ops
