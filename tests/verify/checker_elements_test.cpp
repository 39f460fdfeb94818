// What the checker knows of single elements, at its limits: constants, what is finer than the grid
// of the weights, what one side has behind it and the other not, sums that leave what is exact. On
// models and plans made by hand.
#include <doctest/doctest.h>

#include <array>
#include <string>
#include <tuple>
#include <utility>

#include "tests/verify/checker_plans.h"

namespace lockstep::test {
namespace {

checker::Node node_of(const std::string& name, const std::string& op,
                      std::vector<std::size_t> inputs) {
  checker::Node node;
  node.name = name;
  node.op = op;
  node.inputs = std::move(inputs);
  return node;
}

checker::Node quantize_of(const std::string& name, std::size_t input, std::vector<int> decimals) {
  checker::Node node = node_of(name, "quantize", {input});
  node.quantize = checker::Decimals{std::move(decimals), 0};
  node.bits = 8;
  return node;
}

// The largest of `width` elements next to each other.
checker::Node pool_of(std::size_t input, Int width) {
  checker::Node node = node_of("p", "max_pool1d", {input});
  node.integers = {{"kernel_size", {1, width}},
                   {"stride", {1, width}},
                   {"padding", {0, 0}},
                   {"dilation", {1, 1}},
                   {"ceil_mode", {0}}};
  return node;
}

checker::PlanTensor row_of(const std::string& name, Int width, int bits, Int offset) {
  checker::PlanTensor result = tensor(name, 1, bits, offset, 0);
  result.width = width;
  result.bytes *= width;
  result.logical_rank = 2;
  return result;
}

checker::PlanOp op_of(checker::OpCode code, const std::string& node,
                      std::vector<std::size_t> inputs, std::size_t output) {
  checker::PlanOp op;
  op.code = code;
  op.node = node;
  op.inputs = std::move(inputs);
  op.output = output;
  return op;
}

// Why nothing is said of the plan: "layer: obligation".
std::string unjudged(const checker::Model& model, const checker::Plan& plan) {
  try {
    checker::prove(model, plan);
    return "proved";
  } catch (const checker::Failure& failure) {
    return failure.is_unknown ? failure.layer + ": " + failure.obligation : failure.text;
  }
}

}  // namespace

TEST_CASE("a bias that is finer than the weights' grid counts to its last bit") {
  struct Case {
    Int code;
    int decimal;
    Int plan_bias;
    std::vector<Int> thresholds, codes;
  };
  // Half to even of x + 1/2, of x + 3/4, of x + 3/2 with a whole one in the plan's bias, and of
  // x + 2^-30, which is as fine as it may be.
  for (const Case& one :
       {Case{1, 1, 0, {-1, 1}, {-2, 0, 1}}, Case{3, 2, 0, {-2, -1, 0}, {-2, -1, 0, 1}},
        Case{3, 1, 1, {-1, 1}, {-2, 0, 1}}, Case{1, 30, 0, {-1, 0, 1}, {-2, -1, 0, 1}}}) {
    CAPTURE(one.code);
    Sum sum(1, 1, false);
    sum.model.nodes[0].bias = checker::Bias{{one.code}, {one.decimal}, {}};
    quantize_to_two_bits(sum, {0, 0, 0, -2, 1, one.thresholds, one.codes});
    sum.model.nodes[1].rounding = checker::Rounding::kHalfEven;
    sum.plan.ops[0].bias = {one.plan_bias};
    CHECK(broken(sum.model, sum.plan).empty());
    checker::Plan changed = sum.plan;
    for (const Int step : {-1, 1}) {
      changed.ops[0].bias = {one.plan_bias + step};
      CHECK(broken(sum.model, changed) == "weights");
    }
    for (std::size_t i = 0; i < one.thresholds.size(); ++i) {
      changed = sum.plan;
      changed.ops[0].post.scales[0].thresholds[i] -= 1;
      CHECK(broken(sum.model, changed) == "post-op");
    }
  }
}

TEST_CASE("a bias is added to constants of another grid, whatever its code") {
  // floor(x + 3 + bias), where the 3 is the second element of the layer's input.
  for (const auto& [code, decimal, plan_bias] :
       {std::tuple(1, 2, 0), std::tuple(-1, 2, -1), std::tuple(5, 2, 1), std::tuple(0, 40, 0)}) {
    CAPTURE(code);
    checker::Model model;
    model.name = "constant";
    model.inputs = {{"x", {2}, 4, 0, std::nullopt}};
    checker::Node norm = node_of("norm", "batch_norm1d", {0});
    norm.scale = {1, 0};
    norm.offset = {0, 3};
    checker::Node linear = node_of("fc", "linear", {2});
    linear.integers = {{"in_features", {2}}, {"out_features", {1}}, {"bias", {1}}};
    linear.weights = {{1, 2}, {1, 1}, {{0}, 0}};
    linear.bias = checker::Bias{{code}, {decimal}, {}};
    model.nodes = {norm, quantize_of("q", 1, {0}), linear, quantize_of("y", 3, {0})};
    model.nodes[3].rounding = checker::Rounding::kFloor;
    model.outputs = {4};

    checker::Plan plan;
    plan.name = "constant";
    plan.arena_bytes = 64;
    plan.tensors = {tensor("x", 2, 4, 0, 0), tensor("q", 2, 8, 16, 0), tensor("y", 1, 8, 32, 0)};
    plan.tensors[0].is_input = plan.tensors[2].is_output = true;
    plan.inputs = {0};
    plan.outputs = {2};
    plan.ops = {op_of(checker::OpCode::kRequantize, "norm", {0}, 1),
                op_of(checker::OpCode::kLinear, "fc", {1}, 2)};
    plan.ops[0].post.kind = checker::PostKind::kScale;
    plan.ops[0].post.scales = {{1, 0, 0, -128, 127, {}, {}}, {0, 3, 0, -128, 127, {}, {}}};
    plan.ops[1].weights = {1, 1};
    plan.ops[1].weight_bits = 8;
    plan.ops[1].post.kind = checker::PostKind::kShift;
    plan.ops[1].post.shifts = {0};
    plan.ops[1].post.lo = -128;
    plan.ops[1].post.hi = 127;
    for (const Int step : {0, 1, -1}) {
      plan.ops[1].bias = {plan_bias + step};
      CHECK(broken(model, plan) == (step == 0 ? "" : "weights"));
    }
  }
}

TEST_CASE("a sum of floats that double does not hold exactly is not judged") {
  // Of 16 bits times weights on the grids 0, 12 and 24: 2^53 - 2^15 steps, and 2^53.
  const auto sum_with = [](Int last) {
    Sum sum(4, 0, false);
    sum.model.inputs[0].bits = sum.plan.tensors[0].bits = 16;
    sum.plan.tensors[0].bytes = 8;
    sum.model.nodes[0].weights = {{1, 4}, {16383, 4095, 4095, last}, {{0, 12, 24, 24}, 1}};
    quantize_to_two_bits(sum, {});
    checker::PlanOp& op = sum.plan.ops[0];
    op.weights = {Int{16383} << 24, Int{4095} << 12, 4095, last};
    op.is_wide = true;
    op.post.kind = checker::PostKind::kShift;
    op.post.rounding = checker::Rounding::kFloor;
    op.post.shifts = {24};
    op.post.lo = -2;
    op.post.hi = 1;
    return sum;
  };
  const Sum largest = sum_with(0), beyond = sum_with(1);
  CHECK(broken(largest.model, largest.plan).empty());
  CHECK(unjudged(beyond.model, beyond.plan) == "fc: float exact");
}

TEST_CASE("a graph whose sums leave 62 bits has no proof") {
  const auto verdict_of = [](Int code) {
    Sum sum(2, 1, false);
    sum.model.nodes[0].weights = {{1, 2}, {code, 1}, {{0}, 0}};
    return unjudged(sum.model, sum.plan);
  };
  // Of up to 128, and of 128 more.
  constexpr Int kMost = (Int{1} << 55) - 2;
  CHECK(verdict_of(kMost) != "fc: no overflow");
  for (const Int code : {kMost + 1, kMost + 2, Int{1} << 61, Int{1} << 62, INT64_MAX})
    for (const Int sign : {1, -1}) CHECK(verdict_of(sign * code) == "fc: no overflow");
}

TEST_CASE("an operator that the checker does not know has no meaning") {
  Sum sum(2, 1, false);
  sum.model.nodes.push_back(node_of("last", "median", {1}));
  sum.model.outputs = {2};
  CHECK(unjudged(sum.model, sum.plan) == "last: operators");
}

TEST_CASE("weights that leave 62 bits on one grid are not judged, nor all of the wrong sign") {
  // The second weight meets a masked element.
  const auto verdict_of = [](Int code, int decimal, Int sign) {
    Sum sum(2, code, false);
    sum.model.nodes[0].inputs = {1};
    sum.model.nodes[0].weights = {{1, 2}, {code, 1}, {{0, decimal}, 1}};
    checker::Node mask = node_of("masked", "prune", {0});
    mask.mask = checker::Mask{{2}, {1, 0}, true};
    sum.model.nodes.insert(sum.model.nodes.begin(), mask);
    sum.model.outputs = {2};
    sum.plan.tensors.push_back(tensor("masked", 2, 8, 32, 0));
    sum.plan.arena_bytes = 64;
    sum.plan.ops.insert(sum.plan.ops.begin(),
                        op_of(checker::OpCode::kRequantize, "masked", {0}, 2));
    sum.plan.ops[0].post.keep = {1, 0};
    sum.plan.ops[1].inputs = {2};
    sum.plan.ops[1].weights = {sign * code, 0};
    return unjudged(sum.model, sum.plan);
  };
  CHECK(verdict_of(4, 60, 1) == "proved");
  CHECK(verdict_of(5, 60, 1) == "fc: grid");
  CHECK(verdict_of(1, 61, 1) == "fc: grid");
  CHECK(verdict_of(4, 60, -1).find("wrong sign") != std::string::npos);
}

TEST_CASE("what is added behind the codes of an output is the bias of the graph") {
  const auto verdict_of = [](std::vector<float> bias, std::vector<float> offsets) {
    Sum sum(2, 1, false);
    if (!bias.empty()) sum.model.nodes[0].bias = checker::Bias{{}, {}, std::move(bias)};
    sum.plan.tensors.back().offsets = std::move(offsets);
    return broken(sum.model, sum.plan);
  };
  CHECK(verdict_of({}, {}).empty());
  CHECK(verdict_of({0.5F}, {0.5F}).empty());
  CHECK(verdict_of({0.5F}, {0.25F}) == "weights");
  CHECK(verdict_of({}, {0.25F}) == "weights");
  CHECK(verdict_of({0.5F}, {}) == "grid");
}

TEST_CASE("a vector that a tensor holds in rows is whole") {
  checker::Model model;
  model.name = "rows";
  model.inputs = {{"x", {3}, 8, 0, std::nullopt}};
  model.nodes = {node_of("y", "identity", {0})};
  model.outputs = {1};
  checker::Plan plan;
  plan.name = "rows";
  plan.arena_bytes = 32;
  plan.tensors = {tensor("x", 3, 8, 0, 0), tensor("y", 1, 8, 16, 0)};
  plan.tensors[0].is_input = plan.tensors[1].is_output = true;
  plan.inputs = {0};
  plan.outputs = {1};
  plan.ops = {op_of(checker::OpCode::kMove, "y", {0}, 1)};
  for (const std::uint16_t width : {3, 2}) {
    plan.tensors[1].width = plan.tensors[1].bytes = width;
    plan.ops[0].pieces = {{0, 0, 0, {1, 1, 1, width}, {0, 0, 0, 1}, {0, 0, 0, 1}}};
    CHECK(broken(model, plan) == (width == 3 ? "" : "wiring"));
  }
}

TEST_CASE("an axis that an input does not have, or a mask of another shape, has no meaning") {
  const auto verdict_of = [](const checker::Node& node) {
    Sum sum(2, 1, false);
    sum.model.nodes = {node};
    sum.model.outputs = {1};
    return unjudged(sum.model, sum.plan);
  };
  checker::Node slice = node_of("part", "slice", {0});
  slice.integers = {{"dim", {2}}, {"start", {0}}, {"end", {1}}, {"step", {1}}};
  CHECK(verdict_of(slice) == "part: shapes");
  checker::Node mask = node_of("masked", "prune", {0});
  mask.mask = checker::Mask{{3}, {1, 0, 1}, true};
  CHECK(verdict_of(mask) == "masked: shapes");
}

TEST_CASE("a factor that is always the same is not taken for another one") {
  // Of three vectors the second elements are x, 0 and -8, which x can be.
  const std::array<std::string, 3> factors = {"x", "masked", "constant"};
  for (std::size_t expected = 0; expected < 3; ++expected)
    for (std::size_t found = 0; found < 3; ++found) {
      CAPTURE(factors[expected]);
      CAPTURE(factors[found]);
      checker::Model model;
      model.name = "factors";
      model.inputs = {{"x", {2}, 4, 0, std::nullopt}};
      checker::Node mask = node_of("masked", "prune", {0});
      mask.mask = checker::Mask{{2}, {1, 0}, true};
      checker::Node norm = node_of("norm", "batch_norm1d", {0});
      norm.scale = {1, 0};
      norm.offset = {0, -8};
      constexpr std::array<std::size_t, 3> kValues = {0, 1, 3};
      model.nodes = {mask, norm, quantize_of("constant", 2, {0}),
                     node_of("y", "mul", {0, kValues[expected]})};
      model.outputs = {4};

      checker::Plan plan;
      plan.name = "factors";
      plan.arena_bytes = 64;
      plan.tensors = {tensor("x", 2, 4, 0, 0), tensor("masked", 2, 4, 16, 0),
                      tensor("constant", 2, 8, 32, 0), tensor("y", 2, 32, 48, 0)};
      plan.tensors[0].is_input = plan.tensors[3].is_output = true;
      plan.inputs = {0};
      plan.outputs = {3};
      plan.ops = {op_of(checker::OpCode::kRequantize, "masked", {0}, 1),
                  op_of(checker::OpCode::kRequantize, "norm", {0}, 2),
                  op_of(checker::OpCode::kMul, "y", {0, found}, 3)};
      plan.ops[0].post.keep = {1, 0};
      plan.ops[1].post.kind = checker::PostKind::kScale;
      plan.ops[1].post.scales = {{1, 0, 0, -128, 127, {}, {}}, {0, -8, 0, -128, 127, {}, {}}};
      CHECK(broken(model, plan) == (found == expected ? "" : "wiring"));
    }
}

TEST_CASE("a pooling takes the largest of what has the same functions behind it") {
  checker::Model model;
  model.name = "mixed";
  model.inputs = {{"x", {1, 2}, 4, 0, std::nullopt}};
  const checker::Node pool = pool_of(1, 2);
  model.nodes = {node_of("r", "relu6", {0}), pool};
  model.outputs = {2};

  const auto row = [](const std::string& name, Int width, Int offset) {
    return row_of(name, width, 4, offset);
  };
  checker::Plan plan;
  plan.name = "mixed";
  plan.arena_bytes = 64;
  plan.tensors = {row("x", 2, 0), row("r", 2, 16), row("", 2, 32), row("p", 1, 48)};
  plan.tensors[0].is_input = plan.tensors[3].is_output = true;
  plan.tensors[2].is_named = false;
  plan.inputs = {0};
  plan.outputs = {3};
  plan.ops = {op_of(checker::OpCode::kRequantize, "r", {0}, 1),
              op_of(checker::OpCode::kMove, "p", {0, 1}, 2),
              op_of(checker::OpCode::kMaxPool2d, "p", {2}, 3)};
  plan.ops[0].post.kind = checker::PostKind::kShift;
  plan.ops[0].post.shifts = {0};
  plan.ops[0].post.hi = 6;
  plan.ops[2].kernel = plan.ops[2].stride = {1, 2};
  for (const std::size_t first : {0, 1})
    for (const std::size_t second : {0, 1}) {
      CAPTURE(first);
      CAPTURE(second);
      plan.ops[1].pieces = {{first, 0, 0, {1, 1, 1, 1}, {}, {}},
                            {second, 1, 1, {1, 1, 1, 1}, {}, {}}};
      // Of x alone the relu6 is missing behind the pooling.
      CHECK(broken(model, plan) == (first != second ? "wiring" : first == 0 ? "post-op" : ""));
    }
}

TEST_CASE("what only some of the values have behind them does not follow the pooling") {
  // The largest of relu6(x) and x, of two elements each.
  checker::Model model;
  model.name = "some";
  model.inputs = {{"x", {1, 2}, 4, 0, std::nullopt}};
  checker::Node concat = node_of("c", "concat", {1, 0});
  concat.integers = {{"dim", {2}}};
  const checker::Node pool = pool_of(2, 4);
  model.nodes = {node_of("r", "relu6", {0}), concat, pool};
  model.outputs = {3};

  const auto row = [](const std::string& name, Int width, Int offset) {
    return row_of(name, width, 4, offset);
  };
  checker::Plan plan;
  plan.name = "some";
  plan.arena_bytes = 80;
  plan.tensors = {row("x", 2, 0), row("r", 2, 16), row("c", 4, 32), row("p", 1, 48)};
  plan.tensors[0].is_input = plan.tensors[3].is_output = true;
  plan.inputs = {0};
  plan.outputs = {3};
  checker::PlanOp relu = op_of(checker::OpCode::kRequantize, "r", {0}, 1);
  relu.post.kind = checker::PostKind::kShift;
  relu.post.shifts = {0};
  relu.post.hi = 6;
  checker::PlanOp move = op_of(checker::OpCode::kMove, "c", {1, 0}, 2);
  move.pieces = {{0, 0, 0, {1, 1, 1, 2}, {0, 0, 0, 1}, {0, 0, 0, 1}},
                 {1, 0, 2, {1, 1, 1, 2}, {0, 0, 0, 1}, {0, 0, 0, 1}}};
  checker::PlanOp largest = op_of(checker::OpCode::kMaxPool2d, "p", {2}, 3);
  largest.kernel = largest.stride = {1, 4};
  plan.ops = {relu, move, largest};
  CHECK(broken(model, plan).empty());

  // relu6 of the largest of all.
  plan.tensors[1] = row("", 1, 64);
  plan.tensors[1].is_named = plan.tensors[2].is_named = false;
  move.inputs = {0, 0};
  largest.output = 1;
  relu.inputs = {1};
  relu.output = 3;
  relu.node = "p";
  plan.ops = {move, largest, relu};
  CHECK(broken(model, plan) == "wiring");
}

TEST_CASE("a pooling knows of values that what is behind the others does not change") {
  // The largest of relu(square) and relu(x), where the square is of a relu.
  checker::Model model;
  model.name = "squares";
  model.inputs = {{"x", {1, 1}, 4, 0, std::nullopt}};
  checker::Node concat = node_of("c", "concat", {2, 0});
  concat.integers = {{"dim", {2}}};
  const checker::Node pool = pool_of(4, 2);
  model.nodes = {node_of("r", "relu", {0}), node_of("s", "mul", {1, 1}), concat,
                 node_of("k", "relu", {3}), pool};
  model.outputs = {5};

  const auto row = [](const std::string& name, Int width, Int offset) {
    return row_of(name, width, 32, offset);
  };
  checker::Plan plan;
  plan.name = "squares";
  plan.arena_bytes = 96;
  plan.tensors = {row("x", 1, 0),  row("r", 1, 16), row("s", 1, 32),
                  row("c", 2, 48), row("k", 2, 64), row("p", 1, 80)};
  plan.tensors[0].bits = 4;
  plan.tensors[0].is_input = plan.tensors[5].is_output = true;
  plan.inputs = {0};
  plan.outputs = {5};
  plan.ops = {op_of(checker::OpCode::kRequantize, "r", {0}, 1),
              op_of(checker::OpCode::kMul, "s", {1, 1}, 2),
              op_of(checker::OpCode::kMove, "c", {2, 0}, 3),
              op_of(checker::OpCode::kRequantize, "k", {3}, 4),
              op_of(checker::OpCode::kMaxPool2d, "p", {4}, 5)};
  for (const std::size_t relu : {0, 3}) {
    plan.ops[relu].post.kind = checker::PostKind::kShift;
    plan.ops[relu].post.shifts = {0};
    plan.ops[relu].post.hi = 127;
  }
  plan.ops[2].pieces = {{0, 0, 0, {1, 1, 1, 1}, {}, {}}, {1, 0, 1, {1, 1, 1, 1}, {}, {}}};
  plan.ops[4].kernel = plan.ops[4].stride = {1, 2};
  CHECK(broken(model, plan).empty());
  // The largest of both is never negative.
  plan.ops[4].inputs = {3};
  CHECK(broken(model, plan).empty());
}

TEST_CASE("a tensor on the way may hold any constant, on the grid of its channel") {
  // The graph makes 4 of 5 on grids of 2 and of 4, and squares it.
  checker::Model model;
  model.name = "constants";
  model.inputs = {{"x", {2}, 4, 0, std::nullopt}};
  checker::Node linear = node_of("fc", "linear", {0});
  linear.integers = {{"in_features", {2}}, {"out_features", {2}}, {"bias", {1}}};
  linear.weights = {{2, 2}, {0, 0, 0, 0}, {{0}, 0}};
  linear.bias = checker::Bias{{5, 5}, {0, 0}, {}};
  model.nodes = {linear, quantize_of("q", 1, {-1, -2}), node_of("y", "mul", {2, 2})};
  model.outputs = {3};

  checker::Plan plan;
  plan.name = "constants";
  plan.arena_bytes = 64;
  plan.tensors = {tensor("x", 2, 4, 0, 0), tensor("", 2, 8, 16, -1), tensor("y", 2, 32, 32, -2)};
  plan.tensors[0].is_input = plan.tensors[2].is_output = true;
  plan.tensors[1].is_named = false;
  plan.tensors[1].decimals = {-1, -2};
  plan.tensors[2].decimals = {-2, -4};
  plan.inputs = {0};
  plan.outputs = {2};
  plan.ops = {op_of(checker::OpCode::kLinear, "fc", {0}, 1),
              op_of(checker::OpCode::kMul, "y", {1, 1}, 2)};
  plan.ops[0].weights = {0, 0, 0, 0};
  plan.ops[0].weight_bits = 8;
  plan.ops[0].bias = {5, 5};
  plan.ops[0].post.kind = checker::PostKind::kShift;
  plan.ops[0].post.shifts = {1, 2};
  plan.ops[0].post.lo = -128;
  plan.ops[0].post.hi = 127;
  CHECK(broken(model, plan).empty());
  for (const std::size_t channel : {0, 1}) {
    checker::Plan changed = plan;
    changed.ops[0].post.shifts[channel] = 0;
    CHECK(broken(model, changed) == "wiring");
  }
}

TEST_CASE("a range that is large on the graph's coarse grid is not taken for a small one") {
  // The graph's ranges do not show that x - x is 0: on the plan's grid it seems to reach 2^74.
  checker::Model model;
  model.name = "coarse";
  model.inputs = {{"x", {1}, 16, -30, std::nullopt}};
  model.nodes = {node_of("zero", "sub", {0, 0}), quantize_of("y", 1, {-30})};
  model.nodes[1].bits = 16;
  model.outputs = {2};

  checker::Plan plan;
  plan.name = "coarse";
  plan.arena_bytes = 64;
  plan.tensors = {tensor("x", 1, 16, 0, -30), tensor("zero", 1, 32, 16, -30),
                  tensor("y", 1, 16, 32, -30)};
  plan.tensors[0].is_input = plan.tensors[2].is_output = true;
  plan.inputs = {0};
  plan.outputs = {2};
  plan.ops = {op_of(checker::OpCode::kAdd, "zero", {0, 0}, 1),
              op_of(checker::OpCode::kRequantize, "y", {1}, 2)};
  plan.ops[0].multipliers = {std::vector<Int>{1}, std::vector<Int>{-1}};
  plan.ops[1].post.kind = checker::PostKind::kShift;
  plan.ops[1].post.shifts = {0};
  plan.ops[1].post.lo = -32768;
  plan.ops[1].post.hi = 32767;
  CHECK(broken(model, plan).empty());
  plan.tensors[1].decimals = {28};
  CHECK(broken(model, plan) == "no overflow");
  plan.ops[1].post.lo = plan.ops[1].post.hi = 5;
  CHECK(broken(model, plan) == "no overflow");
}

}  // namespace lockstep::test
