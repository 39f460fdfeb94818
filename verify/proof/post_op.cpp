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

// Both functions have `value` at the two ends already.
std::optional<std::int64_t> search(const std::vector<PostStep>& a, const std::vector<PostStep>& b,
                                   Point left, Point right) {
  // Between equal ends a function that never decreases is constant.
  if (left.value == right.value || right.x - left.x <= 1) return std::nullopt;
  const std::int64_t middle = left.x + (right.x - left.x) / 2;
  const std::int64_t value = apply_steps(a, middle);
  if (value != apply_steps(b, middle)) return middle;
  if (const auto found = search(a, b, left, {middle, value})) return found;
  return search(a, b, {middle, value}, right);
}

}  // namespace

std::optional<std::int64_t> find_difference(const std::vector<PostStep>& a,
                                            const std::vector<PostStep>& b, std::int64_t lo,
                                            std::int64_t hi) {
  if (a == b) return std::nullopt;
  const Point left = {lo, apply_steps(a, lo)}, right = {hi, apply_steps(a, hi)};
  if (left.value != apply_steps(b, lo)) return lo;
  if (right.value != apply_steps(b, hi)) return hi;
  return search(a, b, left, right);
}

}  // namespace lockstep::verify
