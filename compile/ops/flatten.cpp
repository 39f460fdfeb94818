// Flatten from dimension 1: every position of every channel becomes a feature of its own.
#include "compile/ops/lowering.h"

namespace lockstep::ops {

ir::ValueId lower_flatten(Lowering& lowering) {
  const ir::Value& input = lowering.input();
  if (input.shape.logical_rank == 1) return lowering.input_id();
  std::vector<int> decimals;
  for (std::int64_t c = 0; c < input.shape.c; ++c)
    decimals.insert(decimals.end(), static_cast<std::size_t>(input.shape.h * input.shape.w),
                    input.decimal(c));
  return lowering.emit(ir::Flatten{},
                       {.shape = {.c = input.shape.count(), .h = 1, .w = 1, .logical_rank = 1},
                        .bits = input.bits,
                        .decimals = std::move(decimals)});
}

}  // namespace lockstep::ops
