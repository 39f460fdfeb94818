// max(x, 0): a clamp on codes and on accumulators alike, because the grid does not change.
#include "compile/ops/lowering.h"

namespace lockstep::ops {

ir::ValueId lower_relu(Lowering& lowering) {
  const ir::Value& input = lowering.input();
  const auto highest = static_cast<std::int32_t>(ir::code_limits(input.bits).hi);
  ir::RequantizeOp clamp{
      .post = {.requantize =
                   ir::Requantize{
                       .shifts = {0}, .rounding = Rounding::kTowardZero, .lo = 0, .hi = highest},
               .mask = {}}};
  return lowering.emit(std::move(clamp), {input.shape, input.bits, input.decimals});
}

}  // namespace lockstep::ops
