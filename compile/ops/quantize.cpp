// Quantize as a node moves codes or accumulators to another grid: a shift per channel, then a
// clamp. Where float functions are pending, it turns them and itself into one function of the
// integers: a post-op that is synthesized, or a table.
//
// Plans hold shifts from -31 to 30. A shift outside is brought inside only where the proved range
// of the channel shows that nothing changes; a channel that becomes zero throughout is masked
// instead.
#include <fmt/format.h>
#include <algorithm>
#include <map>
#include <tuple>

#include "compile/ops/lowering.h"
#include "compile/ops/rounding.h"
#include "compile/ops/synthesize.h"
#include "compile/support/error.h"
#include "intrt/arith.h"

namespace lockstep::ops {
namespace {

struct ChannelShift {
  int shift = 0;
  bool zero = false;  // every output code is zero
};

// Accumulators of 64 bits, which plans shift right by at most 62.
ChannelShift prove_wide_shift(const Lowering& lowering, std::int64_t channel, int shift) {
  const auto [lo, hi] = lowering.value().ranges.at(static_cast<std::size_t>(channel));
  if (lo == 0 && hi == 0) return {0};  // stays 0
  if (shift >= 0 && shift <= INTRT_WIDE_SHIFT_MAX && hi >> shift < std::int64_t{1} << 31)
    return {shift};
  lowering.refuse(fmt::format(
      "channel {}: its sums of {} bits reach {} and need a shift by {}, but such sums are shifted "
      "by 0 to {} into less than 32 bits; a decimal of {} to {} would fit",
      channel, lowering.value().bits, hi, shift, INTRT_WIDE_SHIFT_MAX,
      lowering.value().decimal(channel) - INTRT_WIDE_SHIFT_MAX,
      lowering.value().decimal(channel) - std::max(0, ir::bits_to_hold(0, hi) - 32)));
}

ChannelShift prove_shift(const Lowering& lowering, std::int64_t channel, int shift,
                         Rounding rounding) {
  const ir::Range range = lowering.value().ranges.at(static_cast<std::size_t>(channel));
  if (lowering.value().bits > ir::kMostStoredBits)
    return prove_wide_shift(lowering, channel, shift);
  // The float path converts to int32 before it clamps; a positive overflow there gives the lowest
  // code.
  if (shift_exactly(range.hi, shift, rounding) >= std::int64_t{1} << 31)
    lowering.refuse(
        fmt::format("channel {}: its codes reach {} and are shifted left by {}, which leaves "
                    "the 32-bit range of quantization; a decimal of at most {} would fit",
                    channel, range.hi, -shift,
                    lowering.value().decimal(channel) + 32 - ir::bits_to_hold(0, range.hi)));
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
                  "shift by at most {}; a decimal of at least {} would fit",
                  channel, range.lo, range.hi, shift, INTRT_SHIFT_MAX,
                  lowering.value().decimal(channel) - INTRT_SHIFT_MAX));
}

// The decimal of every channel of the result.
std::vector<int> result_decimals(const Lowering& lowering) {
  const QuantizeSpec& spec = *lowering.node().quantize;
  const std::vector<int>& decimals = lowering.parameters().quantize.value().decimals;
  const auto channels = static_cast<std::size_t>(lowering.value().shape.c);
  if (decimals.size() == 1) return std::vector<int>(channels, decimals[0]);
  if (spec.channelwise != 1)
    lowering.refuse(
        fmt::format("it has {} decimals along axis {} (channelwise); integer codes have one "
                    "decimal, or one per channel (axis 1)",
                    decimals.size(), spec.channelwise));
  if (decimals.size() != channels)
    lowering.refuse(fmt::format("it has {} decimals, but its input has {} channels",
                                decimals.size(), channels));
  return decimals;
}

NodeValue quantize_exact(Lowering& lowering, const std::vector<int>& decimals) {
  const ir::Value input = lowering.value();
  const QuantizeSpec& spec = *lowering.node().quantize;
  const int bits = lowering.parameters().quantize->bits;
  std::vector<int> shifts;
  std::vector<std::uint8_t> mask;
  bool any_zero = false;
  for (std::int64_t c = 0; c < input.shape.c; ++c) {
    const int decimal = decimals[static_cast<std::size_t>(c)];
    const ChannelShift proved = prove_shift(lowering, c, input.decimal(c) - decimal, spec.rounding);
    shifts.push_back(proved.shift);
    mask.insert(mask.end(), static_cast<std::size_t>(input.shape.h * input.shape.w),
                proved.zero ? 0 : 1);
    any_zero |= proved.zero;
  }
  if (!any_zero) mask.clear();
  const ir::Range limits = ir::code_limits(bits);
  ir::Post post{.function =
                    ir::Requantize{
                        .shifts = ir::collapse(std::move(shifts)),
                        .rounding = spec.rounding,
                        // Rounding is monotone and keeps zero.
                        .lo = lowering.input().rectified ? 0 : static_cast<std::int32_t>(limits.lo),
                        .hi = static_cast<std::int32_t>(limits.hi)},
                .mask = std::move(mask)};
  return {.id = lowering.emit(ir::RequantizeOp{std::move(post)}, {lowering.input().id},
                              {.shape = input.shape, .bits = bits, .decimals = decimals}),
          .pending = {},
          .order_of = {}};
}

// ---- pending float functions ----

// The code of an integer of one channel; empty where quantization is not defined.
struct PendingCode {
  const FloatChain& chain;
  int base_decimal, decimal, bits;
  Rounding rounding;

  std::optional<std::int64_t> operator()(std::int64_t acc) const {
    return quantize_code(apply(chain, enter(acc, base_decimal)), decimal, bits, rounding);
  }
};

std::int32_t defined_code(const Lowering& lowering, std::int64_t channel, const PendingCode& code,
                          std::int64_t acc) {
  const auto result = code(acc);
  if (!result)
    lowering.refuse(fmt::format(
        "channel {}: the value {} of its input leaves the 32-bit range of quantization at decimal "
        "{}; a smaller decimal would fit",
        channel, static_cast<double>(apply(code.chain, enter(acc, code.base_decimal))),
        code.decimal));
  return static_cast<std::int32_t>(*result);
}

// Channels with the same function on the same range are worked out once.
struct AlikeChannels {
  std::vector<std::size_t> first;    // a channel of each kind
  std::vector<std::size_t> kind_of;  // per channel: an index of `first`
};

AlikeChannels group_channels(const std::vector<PendingCode>& functions, const ir::Value& input) {
  std::map<std::tuple<FloatChain, int, int, std::int64_t, std::int64_t>, std::size_t> kinds;
  AlikeChannels alike;
  for (std::size_t c = 0; c < functions.size(); ++c) {
    const PendingCode& f = functions[c];
    const auto [kind, is_new] = kinds.try_emplace(
        {f.chain, f.base_decimal, f.decimal, input.ranges[c].lo, input.ranges[c].hi},
        alike.first.size());
    if (is_new) alike.first.push_back(c);
    alike.kind_of.push_back(kind->second);
  }
  return alike;
}

// From one entry per kind to one per channel.
template <typename T>
std::vector<T> spread(const std::vector<T>& per_kind, const AlikeChannels& alike) {
  std::vector<T> result;
  for (const std::size_t kind : alike.kind_of) result.push_back(per_kind.at(kind));
  return result;
}

ir::PostFunction spread(ir::PostFunction function, const AlikeChannels& alike) {
  if (auto* scale = std::get_if<ir::Scale>(&function))
    scale->channels = spread(scale->channels, alike);
  if (auto* r = std::get_if<ir::Requantize>(&function); r != nullptr && r->shifts.size() > 1)
    r->shifts = spread(r->shifts, alike);
  return function;
}

// One table per different channel. Entries of codes that cannot occur are 0 where quantization is
// not defined.
NodeValue quantize_by_table(Lowering& lowering, const std::vector<PendingCode>& functions,
                            const std::vector<int>& decimals) {
  const ir::Value input = lowering.value();
  const ir::Range all = ir::code_limits(input);
  const AlikeChannels alike = group_channels(functions, input);
  ir::Table table;
  std::map<std::vector<std::int16_t>, std::uint16_t> known;
  std::vector<std::uint16_t> table_of_kind;
  for (const std::size_t c : alike.first) {
    std::vector<std::int16_t> entries;
    for (std::int64_t q = all.lo; q <= all.hi; ++q) {
      const bool reachable = input.ranges[c].lo <= q && q <= input.ranges[c].hi;
      entries.push_back(static_cast<std::int16_t>(
          reachable ? defined_code(lowering, static_cast<std::int64_t>(c), functions[c], q)
                    : functions[c](q).value_or(0)));
    }
    const auto [found, is_new] =
        known.try_emplace(entries, static_cast<std::uint16_t>(table.tables.size()));
    if (is_new) table.tables.push_back(std::move(entries));
    table_of_kind.push_back(found->second);
  }
  table.table_of = spread(table_of_kind, alike);
  table.mask = lowering.input().pending->mask;
  return {.id = lowering.emit(std::move(table), {lowering.input().id},
                              {.shape = input.shape,
                               .bits = lowering.parameters().quantize->bits,
                               .decimals = decimals}),
          .pending = {},
          .order_of = {}};
}

NodeValue quantize_pending(Lowering& lowering, const std::vector<int>& decimals) {
  const ir::Value input = lowering.value();
  const Pending& pending = *lowering.input().pending;
  const QuantizeSpec& spec = *lowering.node().quantize;
  const int bits = lowering.parameters().quantize->bits;
  std::vector<PendingCode> functions;
  bool monotone = true;
  for (std::size_t c = 0; c < pending.chains.size(); ++c) {
    functions.push_back({pending.chains[c], input.decimal(static_cast<std::int64_t>(c)),
                         decimals[c], bits, spec.rounding});
    monotone &= direction(pending.chains[c]) != Direction::kNeither;
  }
  constexpr int kTableBits = 8;
  if (input.bytes || input.bits <= kTableBits || (!monotone && input.bits <= ir::kMostCodeBits))
    return quantize_by_table(lowering, functions, decimals);

  const AlikeChannels alike = group_channels(functions, input);
  std::vector<ChannelFunction> kinds;
  for (const std::size_t c : alike.first) {
    const auto channel = static_cast<std::int64_t>(c);
    const ir::Range range = input.ranges[c];
    const bool is_monotone = direction(pending.chains[c]) != Direction::kNeither;
    if (!is_monotone && range.hi - range.lo >= kWidestSearch)
      lowering.refuse(fmt::format(
          "what '{}' computes neither rises nor falls throughout, and its accumulators in channel "
          "{} take {} values, too many to look at each; put a quantize node before '{}'",
          pending.origin, channel, range.hi - range.lo + 1, pending.origin));
    kinds.push_back({.range = range,
                     .monotone = is_monotone,
                     .code = [&lowering, channel, &function = functions[c]](std::int64_t acc) {
                       return defined_code(lowering, channel, function, acc);
                     }});
  }
  ir::Post post{.function = spread(synthesize(kinds, bits, spec.rounding), alike),
                .mask = pending.mask};
  return {.id = lowering.emit(ir::RequantizeOp{std::move(post)}, {lowering.input().id},
                              {.shape = input.shape, .bits = bits, .decimals = decimals}),
          .pending = {},
          .order_of = {}};
}

}  // namespace

NodeValue lower_quantize(Lowering& lowering) {
  const std::vector<int> decimals = result_decimals(lowering);
  return lowering.input().pending ? quantize_pending(lowering, decimals)
                                  : quantize_exact(lowering, decimals);
}

}  // namespace lockstep::ops
