#include "verify/c_proof/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <functional>

#include "intrt/arith.h"

namespace lockstep::c_proof {
namespace {

using Kind = Step::Kind;

constexpr Int kMostLooks = Int{1} << 24;
constexpr Int kWideLimit = Int{1} << 62, kHalfLimit = (Int{1} << 30) - 1;

std::int32_t narrow(Int x) { return static_cast<std::int32_t>(x); }

bool is_int32(Int x) { return x >= INT32_MIN && x <= INT32_MAX; }

}  // namespace

Int Chains::apply(const Step& step, Int x) const {
  const auto& n = step.numbers;
  const auto i = [&](std::size_t k) { return narrow(n[k]); };
  switch (step.kind) {
    case Kind::kClamp:
      return intrt_clamp(narrow(x), i(0), i(1));
    case Kind::kShiftRightTowardZero:
      return intrt_shift_right_toward_zero(narrow(x), i(0));
    case Kind::kShiftRightFloor:
      return intrt_shift_right_floor(narrow(x), i(0));
    case Kind::kShiftRightHalfEven:
      return intrt_shift_right_half_even(narrow(x), i(0));
    case Kind::kShiftRight:
      return intrt_shift_right(narrow(x), i(0), i(1));
    case Kind::kShiftLeftClamp:
      return intrt_shift_left_clamp(narrow(x), i(0), i(1), i(2));
    case Kind::kRequantize:
      return intrt_requantize(narrow(x), i(0), i(1), i(2), i(3));
    case Kind::kRequantizeWide:
      return intrt_requantize_wide(x, i(0), i(1), i(2), i(3));
    case Kind::kScale:
      return intrt_scale(narrow(x), i(0), n[1], i(2), i(3), i(4), i(5));
    case Kind::kScaleTowardZero: {
      const Int down = (x * n[0] >> 32) + n[1], up = ((x + n[2]) * n[0] >> 32) + n[3];
      return std::clamp(std::max(down, std::min<Int>(up, 0)), n[4], n[5]);
    }
    case Kind::kStep: {
      const std::span<const Int> list = thresholds(step);
      return codes(step)[at(std::ranges::upper_bound(list, x) - list.begin())];
    }
    case Kind::kLookUp:
      break;
  }
  return numbers(n[0])[at(n[1] + x)];
}

std::span<const Int> Chains::thresholds(const Step& step) const {
  return {numbers(step.numbers[0]).data() + step.numbers[1], at(step.numbers[2])};
}
std::span<const Int> Chains::codes(const Step& step) const {
  return {numbers(step.numbers[3]).data() + step.numbers[4], at(step.numbers[2] + 1)};
}

const Step* Chains::only_step(int chain) const {
  return chain != 0 && link(chain).parent == 0 ? &link(chain).step : nullptr;
}

std::optional<Chains::Shift> Chains::as_shift(int chain) const {
  if (chain == 0) return std::nullopt;
  const auto& [kind, n] = link(chain).step;
  if (kind == Kind::kRequantize || kind == Kind::kRequantizeWide) {
    if (link(chain).parent != 0) return std::nullopt;
    return Shift{static_cast<int>(n[0]), static_cast<int>(n[1]), n[2], n[3]};
  }
  if (kind != Kind::kClamp) return std::nullopt;
  Shift result{0, 0, n[0], n[1]};
  if (link(chain).parent == 0) return result;
  const Step* const before = only_step(link(chain).parent);
  if (before == nullptr) return std::nullopt;
  result.shift = static_cast<int>(before->numbers[0]);
  switch (before->kind) {
    case Kind::kShiftRightTowardZero:
      result.rounding = INTRT_ROUND_TOWARD_ZERO;
      return result;
    case Kind::kShiftRightFloor:
      result.rounding = INTRT_ROUND_FLOOR;
      return result;
    case Kind::kShiftRightHalfEven:
      result.rounding = INTRT_ROUND_HALF_EVEN;
      return result;
    default:
      return std::nullopt;
  }
}

// The ranges of intrt/arith.h.
void Chains::require_defined(const Step& step, const Range& range, int line) const {
  const auto& n = step.numbers;
  const auto require = [line](bool holds, std::string_view what) {
    if (!holds) refuse("", line, fmt::format("{} outside of its range", what));
  };
  const auto is_rounding = [](Int rounding) { return rounding >= 0 && rounding <= 2; };
  if (step.kind == Kind::kRequantizeWide)
    require(range.lo >= -kWideLimit && range.hi <= kWideLimit, "an accumulator");
  else
    require(is_int32(range.lo) && is_int32(range.hi), "an argument");
  switch (step.kind) {
    case Kind::kClamp:
      require(n[0] <= n[1], "a clamp");
      break;
    case Kind::kShiftRightTowardZero:
    case Kind::kShiftRightFloor:
    case Kind::kShiftRightHalfEven:
      require(n[0] >= 0 && n[0] <= INTRT_SHIFT_MAX, "a shift");
      break;
    case Kind::kShiftRight:
      require(n[0] >= 0 && n[0] <= INTRT_SHIFT_MAX && is_rounding(n[1]), "a shift");
      break;
    case Kind::kShiftLeftClamp:
      require(n[0] >= 1 && n[0] <= -INTRT_SHIFT_MIN && n[1] <= n[2], "a shift");
      break;
    case Kind::kRequantize:
      require(
          n[0] >= INTRT_SHIFT_MIN && n[0] <= INTRT_SHIFT_MAX && is_rounding(n[1]) && n[2] <= n[3],
          "a shift");
      break;
    case Kind::kRequantizeWide:
      require(n[0] >= 0 && n[0] <= INTRT_WIDE_SHIFT_MAX && is_rounding(n[1]) && n[2] <= n[3],
              "a shift");
      break;
    case Kind::kScale:
      require(n[1] > -kWideLimit && n[1] < kWideLimit && n[2] >= 0 &&
                  n[2] <= INTRT_WIDE_SHIFT_MAX && n[4] <= n[5] &&
                  (n[3] == INTRT_ROUND_TOWARD_ZERO || n[3] == INTRT_ROUND_FLOOR),
              "a scale");
      break;
    case Kind::kScaleTowardZero:
      require(is_int32(n[0]) && std::abs(n[1]) <= kHalfLimit && std::abs(n[3]) <= kHalfLimit &&
                  n[4] <= n[5] && is_int32(range.lo + n[2]) && is_int32(range.hi + n[2]),
              "a scale");
      break;
    case Kind::kStep: {
      const auto holds = [this](Int table, Int first, Int count) {
        const auto size = static_cast<Int>(numbers(table).size());
        return first >= 0 && count >= 0 && first <= size && count <= size - first;
      };
      require(holds(n[0], n[1], n[2]) && holds(n[3], n[4], n[2] + 1), "a list of thresholds");
      require(std::ranges::is_sorted(thresholds(step)), "the order of thresholds");
      break;
    }
    case Kind::kLookUp:
      require(n[1] + range.lo >= 0 && n[1] + range.hi < static_cast<Int>(numbers(n[0]).size()),
              "an index of a table");
      break;
  }
}

std::pair<bool, bool> Chains::directions(const Step& step) const {
  const auto& n = step.numbers;
  if (step.kind == Kind::kScale || step.kind == Kind::kScaleTowardZero)
    return {n[0] >= 0, n[0] <= 0};
  if (step.kind == Kind::kLookUp) return {false, false};
  if (step.kind != Kind::kStep) return {true, false};
  return {std::ranges::is_sorted(codes(step)),
          std::ranges::is_sorted(codes(step), std::greater<>())};
}

int Chains::extend(int chain, const Step& step, const Range& range, int line) {
  require_defined(step, range, line);
  const auto [entry, is_new] = known_.try_emplace({chain, step}, static_cast<int>(links_.size()));
  if (is_new) {
    const auto [rises, falls] = directions(step);
    const Link& before = link(chain);
    links_.push_back({chain, step, (before.rises && rises) || (before.falls && falls),
                      (before.rises && falls) || (before.falls && rises)});
  }
  return entry->second;
}

Int Chains::apply(int chain, Int x) const {
  if (chain == 0) return x;
  const Link& last = link(chain);
  return apply(last.step, apply(last.parent, x));
}

Range Chains::image(int chain, const Range& range, int line) {
  if (chain == 0) return range;
  if (is_monotone(chain) || range.lo == range.hi) {
    const auto [lo, hi] = std::minmax({apply(chain, range.lo), apply(chain, range.hi)});
    return {lo, hi};
  }
  const auto [entry, is_new] = images_.try_emplace({chain, range.lo, range.hi});
  if (is_new) {
    if (range.hi - range.lo >= kMostLooks)
      refuse("", line, "a function that rises and falls, of too many arguments");
    entry->second = {INT64_MAX, INT64_MIN};
    for (Int x = range.lo; x <= range.hi; ++x) {
      const Int y = apply(chain, x);
      entry->second = {std::min(entry->second.lo, y), std::max(entry->second.hi, y)};
    }
  }
  return entry->second;
}

}  // namespace lockstep::c_proof
