// max(x, 0): a clamp on codes and on accumulators alike, because the grid does not change.
#include "compile/ops/clamp.h"

namespace lockstep::ops {

NodeValue emit_clamp(Lowering& lowering, std::int64_t hi) {
  const ir::Value input = lowering.value();
  const ir::Requantize clamp{.shifts = {0},
                             .rounding = Rounding::kTowardZero,
                             .lo = 0,
                             .hi = static_cast<std::int32_t>(hi)};
  return {
      .id = lowering.emit(ir::RequantizeOp{{.function = clamp, .mask = {}}}, {lowering.input().id},
                          {.shape = input.shape, .bits = input.bits, .decimals = input.decimals}),
      .pending = {},
      .order_of = {}};
}

NodeValue lower_relu(Lowering& lowering) {
  if (lowering.input().pending)
    return append(lowering, {{.kind = FloatStep::Kind::kRelu, .a = 0.0F, .b = 0.0F}});
  if (lowering.value().bits > ir::kMostStoredBits) {
    NodeValue result = lowering.input();
    result.rectified = true;
    return result;
  }
  return emit_clamp(lowering, ir::code_limits(lowering.value().bits).hi);
}

}  // namespace lockstep::ops
