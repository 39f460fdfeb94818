// The first channel with the largest value. Channels on different grids are brought to one, on
// which codes compare as values do.
#include <algorithm>

#include "compile/ops/lowering.h"

namespace lockstep::ops {

NodeValue lower_argmax(Lowering& lowering) {
  lowering.require_exact();
  const std::vector<int> decimals = lowering.value().decimals;
  const int finest = *std::max_element(decimals.begin(), decimals.end());
  const auto channels = static_cast<std::size_t>(lowering.value().shape.c);
  const ir::ValueId input =
      lowering.refine(lowering.input().id, std::vector<int>(channels, finest));
  ir::Shape shape = lowering.value_of(input).shape;
  shape.c = 1;
  return {.id = lowering.emit(ir::ArgMax{}, {input}, {.shape = shape, .bits = 32, .decimals = {0}}),
          .pending = {},
          .order_of = {}};
}

}  // namespace lockstep::ops
