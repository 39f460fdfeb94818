#include "verify/proof/plan_function.h"

#include <fmt/format.h>

#include <algorithm>

#include "compile/support/error.h"
#include "verify/proof/finding.h"
#include "verify/semantics/index.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

constexpr std::int64_t kMostArguments = std::int64_t{1} << 24;

// clamp(round((x * multiplier + addend) / 2^shift), lo, hi), exactly.
std::int64_t multiply(const PlanScale& scale, Rounding rounding, std::int64_t x) {
  const Int128 sum = static_cast<Int128>(x) * scale.multiplier + scale.addend;
  const Int128 divisor = Int128{1} << scale.shift;
  Int128 quotient = sum / divisor;  // toward zero
  if (rounding == Rounding::kFloor && sum < 0 && quotient * divisor != sum) quotient -= 1;
  return static_cast<std::int64_t>(std::clamp<Int128>(quotient, scale.lo, scale.hi));
}

void require_few(CodeRange arguments, const std::string& layer) {
  if (arguments.hi - arguments.lo >= kMostArguments)
    throw NotUnderstood{fmt::format(
        "layer '{}': its function may rise and fall, and its sums reach from {} to {}, too many "
        "to try each",
        layer, arguments.lo, arguments.hi)};
}

struct Point {
  std::int64_t x, value;
};

// Both functions have `value` at the two ends already, and neither turns back in between.
std::optional<std::int64_t> search(const GraphFunction& graph, const PlanFunction& plan,
                                   int decimal, Point left, Point right) {
  if (left.value == right.value || right.x - left.x <= 1) return std::nullopt;
  const std::int64_t middle = left.x + (right.x - left.x) / 2;
  const std::int64_t value = plan.apply(middle);
  if (graph.apply(middle, decimal) != value) return middle;
  const auto before = search(graph, plan, decimal, left, {middle, value});
  return before ? before : search(graph, plan, decimal, {middle, value}, right);
}

}  // namespace

PlanFunction PlanFunction::post(const PlanPost& post, std::int64_t channel) {
  PlanFunction function;
  if (post.kind == INTRT_POST_NONE) return function;
  if (post.kind == INTRT_POST_SHIFT) {
    function.kind_ = Kind::kShift;
    function.shift_ = {post.shift(channel), post.rounding, post.lo, post.hi};
    return function;
  }
  function.scale_ = &post.scales.at(at(channel));
  function.rounding_ = post.rounding;
  if (function.scale_->codes.empty()) {
    function.kind_ = Kind::kMultiply;
    if (function.scale_->multiplier < 0) function.direction_ = Direction::kFalling;
    return function;
  }
  function.kind_ = Kind::kSteps;
  const std::vector<std::int64_t>& codes = function.scale_->codes;
  if (!std::ranges::is_sorted(codes))
    function.direction_ =
        std::ranges::is_sorted(codes, std::greater<>()) ? Direction::kFalling : Direction::kUnknown;
  return function;
}

PlanFunction PlanFunction::table(const std::vector<std::int64_t>& entries, std::int64_t first) {
  PlanFunction function;
  function.kind_ = Kind::kTable;
  function.entries_ = &entries;
  function.first_ = first;
  function.direction_ = Direction::kUnknown;
  return function;
}

std::size_t PlanFunction::step_of(std::int64_t x) const {
  return at(std::ranges::upper_bound(scale_->thresholds, x) - scale_->thresholds.begin());
}

std::int64_t PlanFunction::apply(std::int64_t x) const {
  switch (kind_) {
    case Kind::kNone:
      return x;
    case Kind::kShift:
      return requantize_code(x, shift_.drop, shift_.rounding, shift_.lo, shift_.hi);
    case Kind::kMultiply:
      return multiply(*scale_, rounding_, x);
    case Kind::kSteps:
      return scale_->codes[step_of(x)];
    case Kind::kTable:
      return entries_->at(at(x - first_));
  }
  LOCKSTEP_ASSERT(false);
  return 0;
}

CodeRange PlanFunction::image(CodeRange arguments) const {
  if (direction_ == Direction::kRising) return {apply(arguments.lo), apply(arguments.hi)};
  if (direction_ == Direction::kFalling) return {apply(arguments.hi), apply(arguments.lo)};
  const std::vector<std::int64_t>& results = kind_ == Kind::kTable ? *entries_ : scale_->codes;
  const std::size_t first =
      kind_ == Kind::kTable ? at(arguments.lo - first_) : step_of(arguments.lo);
  const std::size_t last =
      kind_ == Kind::kTable ? at(arguments.hi - first_) : step_of(arguments.hi);
  const auto [lo, hi] =
      std::minmax_element(results.begin() + static_cast<std::ptrdiff_t>(first),
                          results.begin() + static_cast<std::ptrdiff_t>(last) + 1);
  return {*lo, *hi};
}

std::optional<std::vector<PostStep>> PlanFunction::shifts() const {
  if (kind_ == Kind::kNone) return std::vector<PostStep>{};
  if (kind_ == Kind::kShift) return std::vector<PostStep>{shift_};
  return std::nullopt;
}

std::optional<std::int64_t> find_difference(const GraphFunction& graph, const PlanFunction& plan,
                                            int decimal, CodeRange arguments,
                                            const std::string& layer) {
  const auto expected = graph.shifts(decimal), found = plan.shifts();
  if (expected && found)
    return compare_post(*expected, *found, arguments.lo, arguments.hi).difference;
  const Point left = {arguments.lo, plan.apply(arguments.lo)},
              right = {arguments.hi, plan.apply(arguments.hi)};
  if (graph.apply(left.x, decimal) != left.value) return left.x;
  if (graph.apply(right.x, decimal) != right.value) return right.x;
  if (graph.direction() == plan.direction() && graph.direction() != Direction::kUnknown)
    return search(graph, plan, decimal, left, right);
  // Two that turn in opposite ways and have the same ends are constant.
  if (graph.direction() != Direction::kUnknown && plan.direction() != Direction::kUnknown &&
      left.value == right.value)
    return std::nullopt;
  require_few(arguments, layer);
  for (std::int64_t x = arguments.lo; x <= arguments.hi; ++x)
    if (graph.apply(x, decimal) != plan.apply(x)) return x;
  return std::nullopt;
}

std::optional<CodeRange> image_of(const GraphFunction& graph, int decimal, CodeRange arguments,
                                  const std::string& layer) {
  CodeRange image = {INT64_MAX, INT64_MIN};
  const auto include = [&](std::int64_t x) {
    const ExactValue value = graph.apply(x);
    image = {std::min(image.lo, value.code), std::max(image.hi, value.code)};
  };
  if (graph.direction() == Direction::kUnknown) {
    require_few(arguments, layer);
    for (std::int64_t x = arguments.lo; x <= arguments.hi; ++x) include(x);
  } else {
    include(arguments.lo);
    include(arguments.hi);
  }
  const auto lo = on_grid(image.lo, graph.result_decimal(), decimal);
  const auto hi = on_grid(image.hi, graph.result_decimal(), decimal);
  if (!lo || !hi) return std::nullopt;
  return CodeRange{*lo, *hi};
}

}  // namespace lockstep::verify
