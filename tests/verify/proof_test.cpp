// What the checker's proof must catch, on models and plans made by hand and on compiled ones in
// which a single number was changed.
#include <doctest/doctest.h>

#include <fmt/format.h>
#include <algorithm>

#include <filesystem>
#include <optional>
#include <string>

#include "compile/checkpoint/state_dict.h"
#include "compile/compile.h"
#include "compile/graph/graph.h"
#include "tests/verify/checker_plans.h"

namespace lockstep::test {
namespace {

namespace fs = std::filesystem;
using checker::Int;

// A recorded network, compiled.
struct Recorded {
  explicit Recorded(const std::string& name) {
    const fs::path folder = fs::path(LOCKSTEP_TEST_DATA) / "golden" / "nets" / name;
    model = checker::read_model(folder / "graph.json", folder / "state_dict.pt");
    plan = checker::read_plan(compile_network(read_graph(folder / "graph.json"),
                                              read_state_dict(folder / "state_dict.pt"), {})
                                  .plan);
    REQUIRE_NOTHROW(checker::prove(model, plan));
  }
  checker::PlanOp& signed_op(checker::PostKind kind) {
    // Behind a relu the roundings agree, and no code is negative.
    for (checker::PlanOp& op : plan.ops)
      if (op.post.kind == kind && !op.weights.empty() && op.post.lo < 0) return op;
    FAIL("no such operator");
    return plan.ops[0];
  }

  checker::Model model;
  checker::Plan plan;
};

}  // namespace

TEST_CASE("float32 is the reference up to 2^24 steps, and double from there") {
  const auto proof_of = [](Int inputs) {
    const Sum sum(inputs, 127, true);
    return checker::prove(sum.model, sum.plan);
  };
  // 1040 * 127 * 127 = 16,774,160 < 2^24 = 16,777,216 < 1041 * 127 * 127
  CHECK(proof_of(1040).unstable_layers.empty());
  CHECK(proof_of(1040).layers.back().channels[0].float_bound == 16'774'160);
  CHECK(proof_of(1041).unstable_layers == std::vector<std::string>{"fc"});
  CHECK(!proof_of(1041).layers.back().channels[0].is_float32_exact);
  // 20,000 random inputs do not show that the float32 sum of 4,608 products may round.
  CHECK(proof_of(4608).unstable_layers == std::vector<std::string>{"fc"});
}

TEST_CASE("nothing computes with what a softmax changes") {
  Sum sum(4, 3, true);
  checker::Node softmax;
  softmax.name = softmax.op = "softmax";
  softmax.integers = {{"dim", {1}}};
  softmax.inputs = {1};
  sum.model.nodes.insert(sum.model.nodes.begin() + 1, softmax);
  sum.model.nodes[2].inputs = {2};
  sum.model.outputs = {3};
  try {
    checker::prove(sum.model, sum.plan);
    FAIL("proved");
  } catch (const checker::Failure& failure) {
    CHECK(failure.is_unknown);
    CHECK(failure.layer == "fc");
    CHECK(failure.obligation == "operators");
  }
}

TEST_CASE("no sum may leave 32 bits") {
  const Sum largest(131'071, -128, false), beyond(131'072, -128, false);
  CHECK(broken(largest.model, largest.plan).empty());
  CHECK(checker::prove(largest.model, largest.plan).layers[0].channels[0].bound == 2'147'467'264);
  CHECK(broken(beyond.model, beyond.plan) == "no overflow");
}

TEST_CASE("a graph whose products leave 64 bits has no proof") {
  Sum sum(4, 3, false);
  const auto square = [&](std::size_t value) {
    checker::Node mul;
    mul.name = "square" + std::to_string(value);
    mul.op = "mul";
    mul.inputs = {value, value};
    sum.model.nodes.push_back(mul);
    sum.model.outputs = {sum.model.value_count() - 1};
  };
  // Of 128: 2^14, 2^28, 2^56, 2^112.
  for (std::size_t value : {0, 2, 3, 4}) square(value);
  try {
    checker::prove(sum.model, sum.plan);
    FAIL("proved");
  } catch (const checker::Failure& failure) {
    CHECK(failure.is_unknown);
    CHECK(failure.layer == "square4");
    CHECK(failure.obligation == "no overflow");
  }
}

TEST_CASE("a product of numbers on a finer grid than the graph's has bits to spare") {
  // x on the grid 2, squared on the grid 4, and exact on the grid 0 in any rounding.
  checker::Model model;
  model.name = "square";
  model.inputs = {{"x", {1}, 4, 0, std::nullopt}};
  model.nodes.resize(2);
  model.nodes[0].name = model.nodes[0].op = "identity";
  model.nodes[0].inputs = {0};
  model.nodes[1].name = model.nodes[1].op = "mul";
  model.nodes[1].inputs = {1, 1};
  model.outputs = {2};
  checker::Plan plan;
  plan.name = "square";
  plan.arena_bytes = 48;
  plan.tensors = {tensor("x", 1, 4, 0, 0), tensor("identity", 1, 8, 16, 2),
                  tensor("mul", 1, 8, 32, 0)};
  plan.tensors[0].is_input = plan.tensors[2].is_output = true;
  plan.inputs = {0};
  plan.outputs = {2};
  plan.ops.resize(2);
  for (std::size_t k = 0; k < 2; ++k) {
    checker::PlanOp& op = plan.ops[k];
    op.code = k == 0 ? checker::OpCode::kRequantize : checker::OpCode::kMul;
    op.node = model.nodes[k].name;
    op.inputs.assign(k + 1, k);
    op.output = k + 1;
    op.post.kind = checker::PostKind::kShift;
    op.post.shifts = {k == 0 ? -2 : 4};
    op.post.lo = -128;
    op.post.hi = 127;
  }
  for (const checker::Rounding rounding :
       {checker::Rounding::kTowardZero, checker::Rounding::kFloor, checker::Rounding::kHalfEven}) {
    plan.ops[1].post.rounding = rounding;
    CHECK(broken(model, plan).empty());
  }
  plan.ops[1].post.shifts = {3};
  CHECK(broken(model, plan) == "post-op");
}

TEST_CASE("a tensor that is still to be read is not written over") {
  Recorded network("residual_add");
  // Any tensor that lives beside another, moved onto it.
  int caught = 0;
  for (std::size_t a = 0; a < network.plan.tensors.size(); ++a)
    for (std::size_t b = 0; b < network.plan.tensors.size(); ++b) {
      checker::Plan changed = network.plan;
      changed.tensors[a].arena_offset = changed.tensors[b].arena_offset;
      const std::string obligation = broken(network.model, changed);
      CHECK((obligation.empty() || obligation == "memory"));
      caught += obligation == "memory" ? 1 : 0;
    }
  CHECK(caught > 4);
  checker::Plan beyond = network.plan;
  beyond.tensors.back().arena_offset = beyond.arena_bytes;
  CHECK(broken(network.model, beyond) == "memory");
}

TEST_CASE("a pruned weight that was left in is found, and any other change of a weight") {
  const Recorded network("conv1d_wave");  // no mask of activations
  int zeros = 0, others = 0;
  for (std::size_t k = 0; k < network.plan.ops.size(); ++k)
    for (std::size_t w = 0; w < network.plan.ops[k].weights.size(); w += 3) {
      checker::Plan changed = network.plan;
      Int& weight = changed.ops[k].weights[w];
      (weight == 0 ? zeros : others) += 1;
      weight += 1;
      CHECK(broken(network.model, changed) == "weights");
    }
  CHECK(zeros > 10);
  CHECK(others > 20);
  MESSAGE(zeros, " pruned and ", others, " other weights");
}

TEST_CASE("another rounding, shift or limit is found") {
  Recorded network("negative_decimals");
  checker::PlanOp& op = network.signed_op(checker::PostKind::kShift);
  const checker::Post post = op.post;
  for (const checker::Rounding rounding :
       {checker::Rounding::kFloor, checker::Rounding::kHalfEven}) {
    op.post.rounding = rounding;
    CHECK(broken(network.model, network.plan) == "post-op");
  }
  op.post = post;
  op.post.shifts[0] += 1;
  CHECK(broken(network.model, network.plan) == "post-op");
  op.post = post;
  op.post.hi -= 1;
  CHECK(broken(network.model, network.plan) == "post-op");
  op.post = post;
  op.bias[0] += 1;
  CHECK(broken(network.model, network.plan) == "weights");
}

TEST_CASE("a threshold that is off by one is found") {
  // floor(x + 0.5) in 2 bits, of integers: the code is x from -2 to 1.
  Sum sum(1, 1, false);
  checker::Node& linear = sum.model.nodes[0];
  linear.bias = checker::Bias{{}, {}, {0.5F}};
  quantize_to_two_bits(sum, {0, 0, 0, -2, 1, {-1, 0, 1}, {-2, -1, 0, 1}});
  CHECK(broken(sum.model, sum.plan).empty());
  for (std::size_t i = 0; i < 3; ++i)
    for (const Int step : {-1, 1}) {
      checker::Plan changed = sum.plan;
      changed.ops[0].post.scales[0].thresholds[i] += step;
      CHECK(broken(sum.model, changed) == "post-op");
    }
}

TEST_CASE("steps that fall are compared without looking at every accumulator") {
  // floor(-x / 2^20) in 2 bits; x reaches 4,200 * 127 * 128 > 2^26.
  Sum sum(4200, 127, false);
  checker::Node norm;
  norm.name = norm.op = "batch_norm1d";
  norm.inputs = {1};
  norm.scale = {-0x1p-20F};
  norm.offset = {0};
  sum.model.nodes.push_back(norm);
  constexpr Int kStep = Int{1} << 20;
  quantize_to_two_bits(sum, {0, 0, 0, -2, 1, {1 - kStep, 1, 1 + kStep}, {1, 0, -1, -2}});
  CHECK(broken(sum.model, sum.plan).empty());
  for (std::size_t i = 0; i < 3; ++i)
    for (const Int step : {-1, 1}) {
      checker::Plan changed = sum.plan;
      changed.ops[0].post.scales[0].thresholds[i] += step;
      CHECK(broken(sum.model, changed) == "post-op");
    }
}

TEST_CASE("a transposed convolution that leaves nothing has no meaning") {
  Recorded network("gan_convtranspose");
  const auto node = std::ranges::find_if(network.model.nodes, [](const checker::Node& one) {
    return one.op.starts_with("conv_transpose");
  });
  REQUIRE(node != network.model.nodes.end());
  node->integers["padding"] = {50, 50};
  try {
    checker::prove(network.model, network.plan);
    FAIL("proved");
  } catch (const checker::Failure& failure) {
    CHECK(failure.is_unknown);
    CHECK(failure.layer == node->name);
    CHECK(failure.obligation == "shapes");
  }
}

TEST_CASE("a quantize that is not defined everywhere is not proved") {
  // 1,000 products of up to 128 * 127 reach 2^23; times 2^8 they leave 32 bits, times 2^7 not.
  const auto failure_with = [](int decimal) {
    Sum sum(1000, 127, false);
    checker::Node quantize;
    quantize.name = quantize.op = "quantize";
    quantize.inputs = {1};
    quantize.quantize = checker::Decimals{{decimal}, 0};
    quantize.bits = 8;
    sum.model.nodes.push_back(quantize);
    sum.model.outputs = {2};
    checker::PlanTensor& output = sum.plan.tensors.back();
    output.name = "quantize";
    output.bits = 8;
    output.bytes = 1;
    output.decimals = {decimal};
    checker::Post& post = sum.plan.ops[0].post;
    post.kind = checker::PostKind::kShift;
    post.shifts = {-decimal};
    post.lo = -128;
    post.hi = 127;
    try {
      checker::prove(sum.model, sum.plan);
      return std::string();
    } catch (const checker::Failure& failure) {
      CHECK(failure.is_unknown);
      CHECK(failure.layer == "quantize");
      return failure.obligation;
    }
  };
  CHECK(failure_with(7).empty());
  CHECK(failure_with(8) == "grid");
}

TEST_CASE("the largest of a falling function's values is not that function of the largest") {
  // Both branches negate and quantize; one takes the largest of two elements before that.
  checker::Model model;
  model.name = "falling";
  model.inputs = {{"x", {1, 2}, 4, 0, std::nullopt}};
  const auto add = [&](const std::string& name, const std::string& op, std::size_t input) {
    checker::Node node;
    node.name = name;
    node.op = op;
    node.inputs = {input};
    if (op == "batch_norm1d") {
      node.scale = {-1};
      node.offset = {0};
    } else if (op == "quantize") {
      node.quantize = checker::Decimals{{0}, 0};
      node.bits = 8;
    } else {
      node.integers = {{"kernel_size", {1, 2}},
                       {"stride", {1, 2}},
                       {"padding", {0, 0}},
                       {"dilation", {1, 1}},
                       {"ceil_mode", {0}}};
    }
    model.nodes.push_back(node);
  };
  add("n", "batch_norm1d", 0);
  add("q", "quantize", 1);
  add("p", "max_pool1d", 0);
  add("pn", "batch_norm1d", 3);
  add("pq", "quantize", 4);
  model.outputs = {2, 5};

  const auto row = [](const std::string& name, Int width, int bits, Int offset) {
    checker::PlanTensor result = tensor(name, 1, bits, offset, 0);
    result.width = result.bytes = width;
    result.logical_rank = 2;
    return result;
  };
  checker::Plan plan;
  plan.name = "falling";
  plan.arena_bytes = 64;
  plan.tensors = {row("x", 2, 4, 0), row("q", 2, 8, 16), row("p", 1, 4, 32), row("pq", 1, 8, 48)};
  plan.tensors[0].is_input = true;
  plan.tensors[1].is_output = plan.tensors[3].is_output = true;
  plan.inputs = {0};
  plan.outputs = {1, 3};
  checker::PlanOp negate;
  negate.node = "n";
  negate.inputs = {0};
  negate.output = 1;
  negate.post.kind = checker::PostKind::kScale;
  negate.post.scales = {{-1, 0, 0, -128, 127, {}, {}}};
  checker::PlanOp pool;
  pool.code = checker::OpCode::kMaxPool2d;
  pool.node = "p";
  pool.kernel = pool.stride = {1, 2};
  pool.inputs = {0};
  pool.output = 2;
  checker::PlanOp behind = negate;
  behind.node = "pn";
  behind.inputs = {2};
  behind.output = 3;
  plan.ops = {negate, pool, behind};
  CHECK(broken(model, plan).empty());

  pool.inputs = {1};
  pool.output = 3;
  plan.ops = {negate, pool};
  plan.tensors.erase(plan.tensors.begin() + 2);
  plan.outputs = {1, 2};
  plan.ops[1].output = 2;
  CHECK(broken(model, plan) == "wiring");
}

TEST_CASE("a plan of another network is not proved, nor one that reads what is not there yet") {
  const Recorded one("bias12"), other("left_shift");
  CHECK_THROWS_AS(checker::prove(one.model, other.plan), checker::Failure);
  checker::Plan swapped = one.plan;
  REQUIRE(swapped.ops.size() > 1);
  std::swap(swapped.ops[0], swapped.ops[1]);
  CHECK(broken(one.model, swapped) == "wiring");
}

}  // namespace lockstep::test
