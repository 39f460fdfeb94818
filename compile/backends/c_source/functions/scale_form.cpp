#include "compile/backends/c_source/functions/scale_form.h"

#include <algorithm>
#include <bit>

#include "intrt/arith.h"

namespace lockstep::backends {
namespace {

using namespace ir;

constexpr int kWord = 32;
constexpr std::int64_t kAddendLimit = std::int64_t{1} << 62;  // of intrt_scale_high
constexpr std::int64_t kTopLimit = std::int64_t{1} << 30;     // of intrt_scale_top

// Clamps that no accumulator reaches become those of the other channels, so that all are alike.
void make_clamps_alike(Scale& scale, const std::vector<Accumulator>& accumulators) {
  std::int32_t lo = 0, hi = 0;
  for (const ChannelScale& c : scale.channels) {
    lo = std::min(lo, c.lo);
    hi = std::max(hi, c.hi);
  }
  for (std::size_t i = 0; i < accumulators.size(); ++i) {
    ChannelScale& c = scale.channels.at(i);
    const auto at = [&](std::int64_t x, std::int32_t least, std::int32_t most) {
      return intrt_scale(static_cast<std::int32_t>(x), c.multiplier, c.addend, c.shift,
                         static_cast<int>(scale.rounding), least, most);
    };
    const auto is_same = [&](std::int64_t x) { return at(x, lo, hi) == at(x, c.lo, c.hi); };
    const auto [least, most] = accumulators[i].range;
    // Without steps the function rises or falls throughout.
    if (!c.has_steps() && is_same(least) && is_same(most)) {
      c.lo = lo;
      c.hi = hi;
    }
  }
}

// Rounding toward zero and rounding down differ below 0 only.
void prefer_floor(Scale& scale) {
  const bool reaches_below =
      std::ranges::any_of(scale.channels, [](const ChannelScale& c) { return c.lo < 0; });
  if (scale.rounding == Rounding::kTowardZero && !reaches_below) scale.rounding = Rounding::kFloor;
}

// (x * m + a) >> s is (x * m * 2^k + a * 2^k) >> (s + k).
std::optional<ChannelScale> high_form(ChannelScale c) {
  if (c.has_steps()) return c;
  if (c.shift > kWord) return std::nullopt;
  const std::int64_t factor = std::int64_t{1} << (kWord - c.shift);
  std::int64_t multiplier = 0;
  if (__builtin_mul_overflow(c.multiplier, factor, &multiplier) || multiplier > INT32_MAX ||
      multiplier < INT32_MIN || __builtin_mul_overflow(c.addend, factor, &c.addend) ||
      c.addend >= kAddendLimit || c.addend <= -kAddendLimit)
    return std::nullopt;
  c.multiplier = static_cast<std::int32_t>(multiplier);
  c.shift = kWord;
  return c;
}

}  // namespace

// With an odd m there is an offset o with o * m = a (mod 2^s). So
//   (x * m + a) >> s = ((x + o) * m - (o * m - a)) >> s = ((x + o) * m >> s) - (o * m - a) / 2^s.
std::optional<TopScale> top_form(ChannelScale c, const Accumulator& accumulator) {
  if (c.has_steps()) return TopScale{c, 0};
  if (c.multiplier == 0) return std::nullopt;
  // What lies below the lowest bit of the multiplier has no effect on the quotient.
  const int zeros = std::min(std::countr_zero(static_cast<std::uint32_t>(c.multiplier)), c.shift);
  const std::int64_t m = c.multiplier >> zeros, a = c.addend >> zeros;
  const int s = c.shift - zeros;
  if (s > kWord || s == 0) return std::nullopt;
  const std::uint64_t mask = (std::uint64_t{1} << s) - 1;
  std::uint64_t inverse = 1;  // of m, modulo 2^s: each step doubles the bits that are right
  for (int i = 0; i < 6; ++i) inverse *= 2 - static_cast<std::uint64_t>(m) * inverse;
  auto offset = static_cast<std::int64_t>((static_cast<std::uint64_t>(a) * inverse) & mask);
  if (offset > static_cast<std::int64_t>(mask / 2)) offset -= std::int64_t{1} << s;
  __extension__ typedef __int128 Wide;
  const Wide rest = static_cast<Wide>(offset) * m - a;
  const auto quotient = static_cast<std::int64_t>(rest >> s);
  const std::int64_t multiplier = m * (std::int64_t{1} << (kWord - s));
  if (multiplier > INT32_MAX || multiplier < INT32_MIN || quotient > kTopLimit ||
      quotient < -kTopLimit || accumulator.magnitude + std::abs(offset) > INT32_MAX)
    return std::nullopt;
  c.multiplier = static_cast<std::int32_t>(multiplier);
  c.addend = -quotient;
  c.shift = kWord;
  return TopScale{c, offset};
}

ScaleForm scale_form(const Scale& given, const std::vector<Accumulator>& accumulators,
                     bool may_offset) {
  Scale scale = given;
  make_clamps_alike(scale, accumulators);
  prefer_floor(scale);
  ScaleForm form{.rounding = scale.rounding, .channels = {}, .offsets = {}};
  if (may_offset && scale.rounding == Rounding::kFloor &&
      accumulators.size() == scale.channels.size()) {
    for (std::size_t i = 0; i < scale.channels.size(); ++i) {
      const std::optional<TopScale> top = top_form(scale.channels[i], accumulators[i]);
      if (!top) break;
      form.channels.push_back(top->scale);
      form.offsets.push_back(top->offset);
    }
    if (form.channels.size() == scale.channels.size()) form.function = ScaleForm::Function::kTop;
  }
  if (form.function != ScaleForm::Function::kTop) {
    form.offsets.clear();
    form.channels.clear();
    for (const ChannelScale& c : scale.channels)
      if (const std::optional<ChannelScale> high = high_form(c)) form.channels.push_back(*high);
    if (form.channels.size() == scale.channels.size())
      form.function = ScaleForm::Function::kHigh;
    else
      form.channels = scale.channels;
  }
  const bool alike = std::ranges::all_of(
      form.channels, [&](const ChannelScale& c) { return c == form.channels.front(); });
  if (alike) form.channels.resize(1);
  return form;
}

}  // namespace lockstep::backends
