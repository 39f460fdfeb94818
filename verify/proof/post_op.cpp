#include "verify/proof/post_op.h"

#include "verify/semantics/rounding.h"

namespace lockstep::verify {

std::int64_t apply_steps(const std::vector<PostStep>& steps, std::int64_t x) {
  for (const PostStep& step : steps)
    x = requantize_code(x, step.drop, step.rounding, step.lo, step.hi);
  return x;
}

namespace {

struct Point {
  std::int64_t x, value;
};

// Steps without their limits and without those that round nothing. On [lo, hi] a list is exactly
// these roundings and then one clamp, to its own values at the two ends: a limit in between can be
// moved behind what never decreases.
std::vector<PostStep> roundings_of(const std::vector<PostStep>& steps) {
  std::vector<PostStep> roundings;
  for (const PostStep& step : steps)
    if (step.drop != 0)
      roundings.push_back({step.drop, step.drop > 0 ? step.rounding : Rounding::kTowardZero, 0, 0});
  return roundings;
}

// Both functions have `value` at the two ends already.
void search(const std::vector<PostStep>& a, const std::vector<PostStep>& b, Point left, Point right,
            PostComparison& result) {
  // Between equal ends a function that never decreases is constant.
  if (left.value == right.value || right.x - left.x <= 1) return;
  const std::int64_t middle = left.x + (right.x - left.x) / 2;
  const std::int64_t value = apply_steps(a, middle);
  result.arguments += 1;
  if (value != apply_steps(b, middle)) {
    result.difference = middle;
    return;
  }
  search(a, b, left, {middle, value}, result);
  if (!result.difference) search(a, b, {middle, value}, right, result);
}

}  // namespace

PostComparison compare_post(const std::vector<PostStep>& a, const std::vector<PostStep>& b,
                            std::int64_t lo, std::int64_t hi) {
  if (a == b) return {};
  const Point left = {lo, apply_steps(a, lo)}, right = {hi, apply_steps(a, hi)};
  if (left.value != apply_steps(b, lo)) return {lo, 1};
  if (right.value != apply_steps(b, hi)) return {hi, 2};
  PostComparison result = {std::nullopt, 2};
  if (roundings_of(a) != roundings_of(b)) search(a, b, left, right, result);
  return result;
}

}  // namespace lockstep::verify
