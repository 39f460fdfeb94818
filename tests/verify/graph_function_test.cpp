// What a graph makes of a sum: relu6 on any grid, and sums whose low bits a plan leaves out.
#include "verify/proof/graph_function.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "tests/compile/random_network.h"
#include "verify/proof/plan_function.h"

using namespace lockstep;
using verify::ExactValue, verify::GraphFunction, verify::GraphStep;

namespace {

GraphStep quantize(int decimal, Rounding rounding) {
  return {.kind = GraphStep::Kind::kQuantize,
          .decimal = decimal,
          .bits = 6,
          .rounding = rounding,
          .functions = {}};
}
const GraphStep kRelu = {.kind = GraphStep::Kind::kRelu, .functions = {}};
const GraphStep kRelu6 = {.kind = GraphStep::Kind::kCap, .cap = 6, .functions = {}};

double value_of(ExactValue value) {
  return std::ldexp(static_cast<double>(value.code), -value.decimal);
}

}  // namespace

TEST_CASE("relu6 has the same value on every grid, and all its results are on one") {
  for (int decimal = -5; decimal <= 4; ++decimal) {
    CAPTURE(decimal);
    const GraphFunction function({&kRelu6}, decimal);
    CHECK(function.result_decimal() == std::max(decimal, -1));
    for (std::int64_t code = -3; code <= 200; ++code) {
      const ExactValue result = function.apply(code);
      REQUIRE(result.decimal == function.result_decimal());
      REQUIRE(value_of(result) == std::clamp(value_of({code, decimal}), 0.0, 6.0));
    }
    const auto image = verify::image_of(function, 2, {-3, 200}, "layer");
    REQUIRE(image);
    CHECK(*image == verify::CodeRange{0, 24});
  }
}

TEST_CASE("sums without their low bits stand for the whole sums") {
  test::Random random(6);
  for (int i = 0; i < 300; ++i) {
    const int bits = static_cast<int>(random.between(1, 5)),
              decimal = static_cast<int>(random.between(-3, 4)),
              to = decimal + static_cast<int>(random.between(-4, 2));
    const std::int64_t low = random.between(0, (std::int64_t{1} << bits) - 1);
    const GraphStep last = quantize(to, static_cast<Rounding>(random.between(0, 2)));
    for (const GraphStep* first : {&kRelu, &kRelu6}) {
      const GraphFunction without({first, &last}, decimal, {bits, low}),
          whole({first, &last}, decimal + bits);
      CHECK(!without.shifts(to));
      for (std::int64_t x = -100; x <= 100; ++x)
        REQUIRE(value_of(without.apply(x)) == value_of(whole.apply(x * (1 << bits) + low)));
    }
  }
}

TEST_CASE("low bits that decide about a result are missed") {
  // -16 + 1 of 2^-4 is above -1, which is what is left of it.
  const GraphStep floor = quantize(0, Rounding::kFloor),
                  to_zero = quantize(0, Rounding::kTowardZero);
  CHECK(GraphFunction({&floor}, 0, {4, 1}).apply(-1).code == -1);
  CHECK(GraphFunction({&to_zero}, 0, {4, 1}).apply(-1).code == 0);
  // Without a quantize step they are part of the value.
  CHECK(!GraphFunction({&kRelu}, 0, {4, 1}).apply(3, 0));
  CHECK(GraphFunction({&kRelu}, 0, {4, 1}).apply(3, 4) == 49);
}
