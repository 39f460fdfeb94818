#include "verify/proof/graph_function.h"

#include <algorithm>
#include <bit>

#include "compile/support/error.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

using Kind = GraphStep::Kind;

Direction reversed(Direction direction) {
  switch (direction) {
    case Direction::kRising:
      return Direction::kFalling;
    case Direction::kFalling:
      return Direction::kRising;
    default:
      return Direction::kUnknown;
  }
}

// The coarsest grid on which the cap of a relu6 lies.
int coarsest_grid(const GraphStep& step) {
  return -std::countr_zero(static_cast<std::uint64_t>(step.cap));
}

// The cap of a relu6 on the grid of what it acts on; nothing where that is too coarse for it. A
// plan may have another grid than the graph, on which the cap lies.
std::optional<std::int64_t> cap_code(const GraphStep& step, int decimal) {
  if (decimal > 0) return on_grid(step.cap, 0, decimal).value_or(INT64_MAX);  // beyond all codes
  return on_grid(step.cap, 0, decimal);
}

// min(max(value, 0), cap), on the grid of the value or, where that is too coarse, the coarsest.
ExactValue capped(const GraphStep& step, ExactValue value) {
  const int decimal = std::max(value.decimal, coarsest_grid(step));
  const std::int64_t code = std::max<std::int64_t>(value.code, 0), cap = *cap_code(step, decimal);
  const std::optional<std::int64_t> finer = on_grid(code, value.decimal, decimal);
  return {finer ? std::min(*finer, cap) : cap, decimal};
}

}  // namespace

std::optional<std::int64_t> on_grid(std::int64_t code, int from, int to) {
  if (code == 0 || from == to) return code;
  if (to < from) {
    if (from - to > 62) return std::nullopt;
    const std::int64_t step = std::int64_t{1} << (from - to);
    if (code % step != 0) return std::nullopt;
    return code / step;
  }
  if (to - from > 62) return std::nullopt;
  const Int128 wide = static_cast<Int128>(code) * (Int128{1} << (to - from));
  if (wide > INT64_MAX || wide < INT64_MIN) return std::nullopt;
  return static_cast<std::int64_t>(wide);
}

GraphFunction::GraphFunction(Steps steps, int decimal, LowBits low_bits)
    : steps_(std::move(steps)),
      low_bits_(low_bits),
      decimal_(decimal + low_bits.bits),
      result_decimal_(decimal_) {
  for (const GraphStep* step : steps_) {
    if (step->kind == Kind::kQuantize) result_decimal_ = step->decimal;
    if (step->kind == Kind::kCap) result_decimal_ = std::max(result_decimal_, coarsest_grid(*step));
    if (step->kind != Kind::kReal) continue;
    const Monotony monotony = step->functions.monotony();
    if (monotony.never_decreases) continue;
    direction_ = monotony.never_increases ? reversed(direction_) : Direction::kUnknown;
  }
}

ExactValue GraphFunction::apply(std::int64_t code) const {
  code = code * (std::int64_t{1} << low_bits_.bits) + low_bits_.low;
  int decimal = decimal_;
  bool real = false;
  float number = 0;
  for (const GraphStep* step : steps_) {
    switch (step->kind) {
      case Kind::kRelu:
        code = std::max<std::int64_t>(code, 0);
        break;
      case Kind::kCap: {
        const ExactValue value = capped(*step, {code, decimal});
        code = value.code;
        decimal = value.decimal;
        break;
      }
      case Kind::kReal:
        number = apply_to_code(step->functions, code, decimal);
        real = true;
        break;
      case Kind::kQuantize: {
        const std::int64_t lo = lowest_code(step->bits), hi = highest_code(step->bits);
        code = real ? quantize_float(number, step->decimal, step->rounding, lo, hi)
                    : requantize_code(code, decimal - step->decimal, step->rounding, lo, hi);
        decimal = step->decimal;
        real = false;
        break;
      }
    }
  }
  LOCKSTEP_ASSERT(!real);
  return {code, decimal};
}

std::optional<std::int64_t> GraphFunction::apply(std::int64_t code, int decimal) const {
  const ExactValue value = apply(code);
  return on_grid(value.code, value.decimal, decimal);
}

std::optional<std::vector<PostStep>> GraphFunction::shifts(int decimal) const {
  if (low_bits_.bits > 0) return std::nullopt;
  std::vector<PostStep> shifts;
  int now = decimal_;
  for (const GraphStep* step : steps_) {
    switch (step->kind) {
      case Kind::kRelu:
        shifts.push_back({0, Rounding::kTowardZero, 0, INT64_MAX});
        break;
      case Kind::kCap:
        if (!cap_code(*step, now)) return std::nullopt;
        shifts.push_back({0, Rounding::kTowardZero, 0, *cap_code(*step, now)});
        break;
      case Kind::kReal:
        return std::nullopt;
      case Kind::kQuantize:
        shifts.push_back({now - step->decimal, step->rounding, lowest_code(step->bits),
                          highest_code(step->bits)});
        now = step->decimal;
        break;
    }
  }
  if (decimal < now || decimal - now > 30) return std::nullopt;
  if (decimal > now) shifts.push_back({now - decimal, Rounding::kTowardZero, INT64_MIN, INT64_MAX});
  return shifts;
}

}  // namespace lockstep::verify
