// min(max(x, 0), 6): a clamp where 6 lies on the grid of every channel, else a float function.
//
// Sums on several grids stay a float function as well, so that a quantize node behind makes one
// post-op of it. The values are the same as long as float32 holds those up to 6.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compile/ops/clamp.h"

namespace lockstep::ops {
namespace {

// A limit for each channel of codes.
NodeValue clamp_channels(Lowering& lowering) {
  const ir::Value input = lowering.value();
  const auto highest = static_cast<double>(ir::code_limits(input.bits).hi);
  ir::Scale clamp{.rounding = Rounding::kFloor, .channels = {}};
  for (std::int64_t c = 0; c < input.shape.c; ++c)
    clamp.channels.push_back(
        {.multiplier = 1,
         .addend = 0,
         .shift = 0,
         .lo = 0,
         .hi = static_cast<std::int32_t>(std::min(std::ldexp(6.0, input.decimal(c)), highest)),
         .thresholds = {},
         .codes = {}});
  return {.id = lowering.emit(
              ir::RequantizeOp{{.function = std::move(clamp), .mask = {}}}, {lowering.input().id},
              {.shape = input.shape, .bits = input.bits, .decimals = input.decimals}),
          .pending = {},
          .order_of = {}};
}

// Sums on several grids become float32 numbers, which must hold all of them up to 6; those above
// stay above.
void require_exact_floats(const Lowering& lowering) {
  const ir::Value& input = lowering.value();
  if (input.bits <= ir::kExactFloatBits) return;
  for (std::int64_t c = 0; c < input.shape.c; ++c)
    if (std::ldexp(6.0, input.decimal(c)) > std::ldexp(1.0, ir::kExactFloatBits - 1))
      lowering.refuse(fmt::format(
          "its input holds sums of {} bits on a different grid for each channel, and that of "
          "channel {}, with decimal {}, has more values from 0 to 6 than float32; put a quantize "
          "node before it",
          input.bits, c, input.decimal(c)));
}

}  // namespace

NodeValue lower_relu6(Lowering& lowering) {
  const ir::Value& input = lowering.value();
  constexpr int kCoarsest = -1;  // 6 = 3 * 2^1
  const bool on_grid =
      std::ranges::all_of(input.decimals, [](int decimal) { return decimal >= kCoarsest; });
  if (!lowering.input().pending && on_grid) {
    if (input.bits > ir::kMostStoredBits)
      lowering.refuse(
          "its input holds sums of more than 32 bits, which only a quantize node may read; put the "
          "quantize node before this layer");
    if (input.decimals.size() == 1)
      return emit_clamp(lowering, static_cast<std::int64_t>(std::min(
                                      std::ldexp(6.0, input.decimal(0)),
                                      static_cast<double>(ir::code_limits(input.bits).hi))));
    if (input.bits <= ir::kMostCodeBits) return clamp_channels(lowering);
  }
  if (!lowering.input().pending) require_exact_floats(lowering);
  return append(lowering, {{.kind = FloatStep::Kind::kRelu6, .a = 0.0F, .b = 0.0F}});
}

}  // namespace lockstep::ops
