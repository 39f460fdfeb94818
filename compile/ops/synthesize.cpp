#include "compile/ops/synthesize.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "compile/support/error.h"
#include "intrt/arith.h"

namespace lockstep::ops {
namespace {

__extension__ typedef __int128 Int128;

// Codes over accumulators: `first` from the lowest on, then `code` from each `threshold` on.
struct Step {
  std::int64_t threshold;
  std::int32_t code;
};
struct Staircase {
  std::int32_t first = 0;
  std::vector<Step> steps;

  std::int32_t before(std::size_t step) const { return step == 0 ? first : steps[step - 1].code; }
  std::int32_t last() const { return steps.empty() ? first : steps.back().code; }
};

// Appends the steps in (left, right] of a monotone function that is known at both ends.
void bisect(const ChannelFunction& function, std::int64_t left, std::int32_t left_code,
            std::int64_t right, std::int32_t right_code, Staircase& result) {
  if (left_code == right_code) return;
  if (right - left == 1) {
    result.steps.push_back({right, right_code});
    return;
  }
  const std::int64_t middle = left + (right - left) / 2;
  const std::int32_t code = function.code(middle);
  bisect(function, left, left_code, middle, code, result);
  bisect(function, middle, code, right, right_code, result);
}

Staircase staircase_of(const ChannelFunction& function) {
  const auto [lo, hi] = function.range;
  Staircase result{.first = function.code(lo), .steps = {}};
  if (function.monotone) {
    bisect(function, lo, result.first, hi, function.code(hi), result);
    return result;
  }
  LOCKSTEP_ASSERT(hi - lo < kWidestSearch);
  for (std::int64_t acc = lo + 1; acc <= hi; ++acc) {
    const std::int32_t code = function.code(acc);
    if (code != result.last()) result.steps.push_back({acc, code});
  }
  return result;
}

// Both sides of every step, and the ends. Functions that never fall and agree there agree on the
// whole range.
bool agrees(const ChannelFunction& function, const Staircase& staircase,
            const std::function<std::int32_t(std::int64_t)>& candidate) {
  if (candidate(function.range.lo) != staircase.first ||
      candidate(function.range.hi) != staircase.last())
    return false;
  for (std::size_t i = 0; i < staircase.steps.size(); ++i) {
    const Step& step = staircase.steps[i];
    if (candidate(step.threshold) != step.code ||
        candidate(step.threshold - 1) != staircase.before(i))
      return false;
  }
  return true;
}

bool never_falls(const Staircase& staircase) {
  for (std::size_t i = 0; i < staircase.steps.size(); ++i)
    if (staircase.steps[i].code < staircase.before(i)) return false;
  return true;
}
bool never_rises(const Staircase& staircase) {
  for (std::size_t i = 0; i < staircase.steps.size(); ++i)
    if (staircase.steps[i].code > staircase.before(i)) return false;
  return true;
}

// ---- a shift and a clamp, which limits all channels share ----

std::optional<int> find_shift(const ChannelFunction& function, const Staircase& staircase,
                              Rounding rounding, std::int32_t lo, std::int32_t hi) {
  if (!never_falls(staircase)) return std::nullopt;
  for (int shift = INTRT_SHIFT_MIN; shift <= INTRT_SHIFT_MAX; ++shift)
    if (agrees(function, staircase, [&](std::int64_t acc) {
          return intrt_requantize(static_cast<std::int32_t>(acc), shift, static_cast<int>(rounding),
                                  lo, hi);
        }))
      return shift;
  return std::nullopt;
}

std::optional<ir::Requantize> as_shift(const std::vector<ChannelFunction>& channels,
                                       const std::vector<Staircase>& staircases, int bits,
                                       Rounding rounding) {
  const ir::Range limits = ir::code_limits(bits);
  bool negative = false;
  for (const Staircase& staircase : staircases) negative |= staircase.first < 0;
  const std::int32_t lo = negative ? static_cast<std::int32_t>(limits.lo) : 0;
  const auto hi = static_cast<std::int32_t>(limits.hi);
  std::vector<int> shifts;
  for (std::size_t c = 0; c < channels.size(); ++c) {
    const auto shift = find_shift(channels[c], staircases[c], rounding, lo, hi);
    if (!shift) return std::nullopt;
    shifts.push_back(*shift);
  }
  return ir::Requantize{ir::collapse(std::move(shifts)), rounding, lo, hi};
}

// ---- a multiplication and a shift ----
//
// A rising staircase is r(acc) = round((acc * m + a) / 2^s) exactly when, at every step from code p
// to code q at threshold t,   (t - 1) * m + a < level(p + 1)   and   t * m + a >= level(q),
// where level(k) is the least numerator that rounds to k or more: k * 2^s, except that rounding
// toward zero reaches a k <= 0 right above (k - 1) * 2^s. Two unknowns, so first the best slope is
// found in real numbers, then the smallest s for which integers do.

struct Constraints {  // one pair per step
  std::vector<std::int64_t> threshold;
  std::vector<std::int32_t> next, reached;  // p + 1 and q
};

double real_level(std::int32_t k, Rounding rounding) {
  return rounding == Rounding::kTowardZero && k <= 0 ? k - 1.0 : k;
}

Int128 integer_level(std::int32_t k, int shift, Rounding rounding) {
  const Int128 unit = Int128{1} << shift;
  return rounding == Rounding::kTowardZero && k <= 0 ? (k - 1) * unit + 1 : k * unit;
}

// By how much the offset may vary with this slope; negative when no offset fits.
double room(const Constraints& constraints, double slope, Rounding rounding) {
  double least = -std::numeric_limits<double>::infinity(), most = -least;
  for (std::size_t i = 0; i < constraints.threshold.size(); ++i) {
    const auto t = static_cast<double>(constraints.threshold[i]);
    least = std::max(least, real_level(constraints.reached[i], rounding) - t * slope);
    most = std::min(most, real_level(constraints.next[i], rounding) - (t - 1) * slope);
  }
  return most - least;
}

// The slope with the most room, which is concave in it.
double best_slope(const Constraints& constraints, double highest, Rounding rounding) {
  double left = 0, right = highest;
  for (int i = 0; i < 120; ++i) {
    const double a = left + (right - left) / 3, b = right - (right - left) / 3;
    if (room(constraints, a, rounding) < room(constraints, b, rounding))
      left = a;
    else
      right = b;
  }
  return left + (right - left) / 2;
}

std::optional<std::int64_t> find_addend(const Constraints& constraints, std::int64_t multiplier,
                                        int shift, Rounding rounding) {
  constexpr Int128 kMost = (Int128{1} << 62) - 1;
  Int128 least = -kMost, most = kMost;
  for (std::size_t i = 0; i < constraints.threshold.size(); ++i) {
    const Int128 product = static_cast<Int128>(constraints.threshold[i]) * multiplier;
    least = std::max(least, integer_level(constraints.reached[i], shift, rounding) - product);
    most = std::min(
        most, integer_level(constraints.next[i], shift, rounding) - 1 - (product - multiplier));
  }
  if (least > most) return std::nullopt;
  return static_cast<std::int64_t>(least + (most - least) / 2);
}

std::optional<ir::ChannelScale> find_multiply(const Staircase& staircase, Rounding rounding) {
  ir::ChannelScale scale;
  scale.lo = std::min(staircase.first, staircase.last());
  scale.hi = std::max(staircase.first, staircase.last());
  if (staircase.steps.empty()) {
    scale.addend = staircase.first;
    return scale;
  }
  // A falling staircase rises in -acc.
  const bool falls = never_rises(staircase);
  if (!falls && !never_falls(staircase)) return std::nullopt;
  Constraints constraints;
  for (std::size_t i = 0; i < staircase.steps.size(); ++i) {
    const Step& step = staircase.steps[i];
    constraints.threshold.push_back(falls ? 1 - step.threshold : step.threshold);
    constraints.next.push_back((falls ? step.code : staircase.before(i)) + 1);
    constraints.reached.push_back(falls ? staircase.before(i) : step.code);
  }
  const double slope = best_slope(constraints, scale.hi - scale.lo + 1.0, rounding);
  constexpr int kMostShift = 46;
  for (int shift = 0; shift <= kMostShift; ++shift) {
    const double wanted = std::ldexp(slope, shift);
    if (wanted >= 0x1p31 - 1) break;
    const auto multiplier = static_cast<std::int64_t>(std::llround(wanted));
    if (multiplier == 0) continue;
    if (const auto addend = find_addend(constraints, multiplier, shift, rounding)) {
      scale.multiplier = static_cast<std::int32_t>(falls ? -multiplier : multiplier);
      scale.addend = *addend;
      scale.shift = shift;
      return scale;
    }
  }
  return std::nullopt;
}

ir::ChannelScale as_steps(const Staircase& staircase) {
  ir::ChannelScale scale;
  if (staircase.steps.empty()) return *find_multiply(staircase, Rounding::kFloor);
  scale.codes.push_back(static_cast<std::int16_t>(staircase.first));
  for (const Step& step : staircase.steps) {
    scale.thresholds.push_back(static_cast<std::int32_t>(step.threshold));
    scale.codes.push_back(static_cast<std::int16_t>(step.code));
  }
  return scale;
}

struct Scaled {
  ir::Scale scale;
  std::size_t steps = 0;  // stored in all
};
Scaled as_scale(const std::vector<ChannelFunction>& channels,
                const std::vector<Staircase>& staircases, Rounding rounding) {
  Scaled result{.scale = {.rounding = rounding, .channels = {}}};
  for (std::size_t c = 0; c < channels.size(); ++c) {
    auto multiply = find_multiply(staircases[c], rounding);
    // The constraints say it already; this asks the arithmetic that will run.
    if (multiply)
      LOCKSTEP_ASSERT(agrees(channels[c], staircases[c], [&](std::int64_t acc) {
        return intrt_scale(static_cast<std::int32_t>(acc), multiply->multiplier, multiply->addend,
                           multiply->shift, static_cast<int>(rounding), multiply->lo, multiply->hi);
      }));
    if (!multiply) result.steps += staircases[c].steps.size();
    result.scale.channels.push_back(multiply ? *multiply : as_steps(staircases[c]));
  }
  return result;
}

}  // namespace

ir::PostFunction synthesize(const std::vector<ChannelFunction>& channels, int bits,
                            Rounding rounding) {
  std::vector<Staircase> staircases;
  for (const ChannelFunction& function : channels) {
    LOCKSTEP_ASSERT(function.range.lo >= std::numeric_limits<std::int32_t>::min() &&
                    function.range.hi <= std::numeric_limits<std::int32_t>::max());
    staircases.push_back(staircase_of(function));
  }
  if (auto shift = as_shift(channels, staircases, bits, rounding)) return *shift;
  Scaled floor = as_scale(channels, staircases, Rounding::kFloor);
  if (floor.steps == 0) return floor.scale;
  Scaled toward_zero = as_scale(channels, staircases, Rounding::kTowardZero);
  return toward_zero.steps < floor.steps ? toward_zero.scale : floor.scale;
}

}  // namespace lockstep::ops
