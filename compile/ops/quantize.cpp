// Quantize as a node moves codes or accumulators to another grid: a shift per channel, then a
// clamp.
//
// Plans hold shifts from -31 to 30. A shift outside is brought inside only where the proved range
// of the channel shows that nothing changes; a channel that becomes zero throughout is masked
// instead.
#include <fmt/format.h>
#include <algorithm>

#include "compile/ops/lowering.h"
#include "compile/ops/rounding.h"
#include "intrt/arith.h"

namespace lockstep::ops {
namespace {

struct ChannelShift {
  int shift = 0;
  bool zero = false;  // every output code is zero
};

ChannelShift prove_shift(const Lowering& lowering, std::int64_t channel, int shift,
                         Rounding rounding) {
  const ir::Range range = lowering.input().ranges.at(static_cast<std::size_t>(channel));
  // The float path converts to int32 before it clamps; a positive overflow there gives the lowest
  // code.
  if (shift_exactly(range.hi, shift, rounding) >= std::int64_t{1} << 31)
    lowering.refuse(
        fmt::format("channel {}: its codes reach {} and are shifted left by {}, which leaves "
                    "the 32-bit range of quantization",
                    channel, range.hi, -shift));
  if (shift < INTRT_SHIFT_MIN) return {INTRT_SHIFT_MIN};  // zero stays, all else saturates low
  if (shift <= INTRT_SHIFT_MAX) return {shift};

  const auto image = [&](int s) {
    return ir::Range{shift_exactly(range.lo, s, rounding), shift_exactly(range.hi, s, rounding)};
  };
  const ir::Range wanted = image(shift);
  if (wanted == ir::Range{0, 0}) return {INTRT_SHIFT_MAX, true};
  // Both shifts are monotone. With equal ends they agree in between if constant, or if floor, whose
  // only step that large shifts leave lies at zero.
  const bool same_between = wanted.lo == wanted.hi || rounding == Rounding::kFloor;
  if (wanted == image(INTRT_SHIFT_MAX) && same_between) return {INTRT_SHIFT_MAX};
  lowering.refuse(
      fmt::format("channel {}: its codes lie in {}..{} and need a shift by {}, but plans "
                  "shift by at most {}",
                  channel, range.lo, range.hi, shift, INTRT_SHIFT_MAX));
}

}  // namespace

ir::ValueId lower_quantize(Lowering& lowering) {
  const ir::Value& input = lowering.input();
  const QuantizeSpec& spec = *lowering.node().quantize;
  const QuantizeParameters& quantize = lowering.parameters().quantize.value();
  const auto decimal_count = static_cast<std::int64_t>(quantize.decimals.size());
  if (decimal_count > 1 && spec.channelwise != 1)
    lowering.refuse(
        fmt::format("it has {} decimals along axis {} (channelwise); integer codes have one "
                    "decimal, or one per channel (axis 1)",
                    decimal_count, spec.channelwise));
  if (decimal_count > 1 && decimal_count != input.shape.c)
    lowering.refuse(fmt::format("it has {} decimals, but its input has {} channels", decimal_count,
                                input.shape.c));

  std::vector<int> shifts;
  std::vector<std::uint8_t> mask;
  bool any_zero = false;
  for (std::int64_t c = 0; c < input.shape.c; ++c) {
    const int decimal = quantize.decimals[decimal_count == 1 ? 0 : static_cast<std::size_t>(c)];
    const ChannelShift proved = prove_shift(lowering, c, input.decimal(c) - decimal, spec.rounding);
    shifts.push_back(proved.shift);
    mask.insert(mask.end(), static_cast<std::size_t>(input.shape.h * input.shape.w),
                proved.zero ? 0 : 1);
    any_zero |= proved.zero;
  }
  if (!any_zero) mask.clear();
  const ir::Range limits = ir::code_limits(quantize.bits);
  ir::Post post{.requantize = ir::Requantize{.shifts = ir::collapse(std::move(shifts)),
                                             .rounding = spec.rounding,
                                             .lo = static_cast<std::int32_t>(limits.lo),
                                             .hi = static_cast<std::int32_t>(limits.hi)},
                .mask = std::move(mask)};
  return lowering.emit(ir::RequantizeOp{std::move(post)},
                       {input.shape, quantize.bits, quantize.decimals});
}

}  // namespace lockstep::ops
