// Two descriptions of what happens to a sum, compared as functions: against trying every argument.
#include "verify/proof/post_op.h"

#include <doctest/doctest.h>

#include "tests/compile/random_network.h"

using namespace lockstep;
using namespace lockstep::test;
using verify::PostStep;

namespace {

constexpr PostStep kRelu = {0, Rounding::kTowardZero, 0, INT64_MAX};

std::vector<PostStep> random_steps(Random& random) {
  std::vector<PostStep> steps;
  for (std::int64_t count = random.between(0, 3); count > 0; --count) {
    if (random.chance(30)) {
      steps.push_back(kRelu);
      continue;
    }
    const std::int64_t lo = random.between(-20, 5);
    steps.push_back({static_cast<int>(random.between(-2, 3)),
                     static_cast<Rounding>(random.between(0, 2)), lo, lo + random.between(0, 40)});
  }
  return steps;
}

}  // namespace

TEST_CASE("two lists of steps differ exactly when some argument shows it") {
  Random random(5);
  int equal = 0, different = 0, equal_but_not_the_same = 0;
  for (int i = 0; i < 40000; ++i) {
    const std::vector<PostStep> a = random_steps(random);
    std::vector<PostStep> b = a;
    if (b.empty() || random.chance(40))
      b = random_steps(random);
    else
      b[static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(b.size()) - 1))].hi +=
          random.between(0, 3);
    const std::int64_t lo = random.between(-60, 20), hi = lo + random.between(0, 80);
    bool differ = false;
    for (std::int64_t x = lo; x <= hi; ++x)
      differ = differ || verify::apply_steps(a, x) != verify::apply_steps(b, x);
    const verify::PostComparison result = verify::compare_post(a, b, lo, hi);
    CAPTURE(i);
    REQUIRE(result.difference.has_value() == differ);
    if (differ) {
      const std::int64_t x = *result.difference;
      REQUIRE((lo <= x && x <= hi));
      REQUIRE(verify::apply_steps(a, x) != verify::apply_steps(b, x));
    }
    different += differ ? 1 : 0;
    equal += differ ? 0 : 1;
    equal_but_not_the_same += !differ && a != b ? 1 : 0;
  }
  CHECK(equal > 5000);
  CHECK(different > 5000);
  CHECK(equal_but_not_the_same > 2000);
}

TEST_CASE("functions with a step at every argument are compared without visiting each") {
  const std::int64_t lo = INT32_MIN, hi = INT32_MAX;
  const PostStep clamp = {0, Rounding::kTowardZero, 0, INT32_MAX};
  CHECK(verify::compare_post({kRelu}, {clamp}, lo, hi).arguments <= 2);
  CHECK(!verify::compare_post({kRelu}, {clamp}, lo, hi).difference);
  CHECK(verify::compare_post({kRelu, kRelu}, {clamp}, -5, 1 << 30).arguments <= 2);
  const PostStep whole = {0, Rounding::kFloor, INT32_MIN, INT32_MAX};
  CHECK(verify::compare_post({}, {whole}, lo, hi).arguments <= 2);
  CHECK(!verify::compare_post({}, {whole}, lo, hi).difference);
  const PostStep halves = {1, Rounding::kFloor, INT32_MIN, INT32_MAX};
  CHECK(verify::compare_post({halves, kRelu}, {{1, Rounding::kFloor, 0, INT32_MAX}}, lo, hi)
            .arguments <= 2);
  // A difference is found at once, too.
  const auto result = verify::compare_post({kRelu}, {{0, Rounding::kFloor, 1, INT32_MAX}}, lo, hi);
  CHECK(result.difference);
  CHECK(result.arguments <= 2);
}
