// Models and plans for tests of the checker's proof, made by hand: the checker takes them as they
// are, without the limits of files.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "verify/checker/model.h"
#include "verify/checker/plan.h"
#include "verify/checker/proof.h"

namespace lockstep::test {

using checker::Int;

inline checker::PlanTensor tensor(const std::string& name, Int channels, int bits, Int offset,
                                  int decimal) {
  checker::PlanTensor result;
  result.name = name;
  result.channels = channels;
  result.height = result.width = 1;
  result.arena_offset = offset;
  result.bytes = channels * (bits <= 8 ? 1 : bits <= 16 ? 2 : 4);
  result.decimals.assign(static_cast<std::size_t>(channels), decimal);
  for (Int c = 0; c < channels; ++c) result.channel_of.push_back(c);
  result.bits = bits;
  result.is_named = true;
  result.logical_rank = 1;
  return result;
}

// relu and a linear layer with one output, all of whose weights are `weight`.
struct Sum {
  Sum(Int inputs, Int weight, bool has_relu) {
    model.name = plan.name = "sum";
    model.inputs = {{"x", {inputs}, 8, 0, std::nullopt}};
    checker::Node linear;
    linear.name = "fc";
    linear.op = "linear";
    linear.integers = {{"in_features", {inputs}}, {"out_features", {1}}, {"bias", {0}}};
    linear.weights = {
        {1, inputs}, std::vector<Int>(static_cast<std::size_t>(inputs), weight), {{0}, 0}};
    const Int arena = (inputs + 15) / 16 * 16;
    plan.tensors = {tensor("x", inputs, 8, 0, 0)};
    plan.tensors[0].is_input = true;
    checker::PlanOp op;
    if (has_relu) {
      checker::Node relu;
      relu.name = relu.op = "relu";
      relu.inputs = {0};
      model.nodes.push_back(relu);
      plan.tensors.push_back(tensor("relu", inputs, 8, 0, 0));
      op.code = checker::OpCode::kRequantize;
      op.node = "relu";
      op.output = 1;
      op.inputs = {0};
      op.post.kind = checker::PostKind::kShift;
      op.post.hi = 127;
      op.post.shifts.assign(static_cast<std::size_t>(inputs), 0);
      plan.ops.push_back(op);
    }
    linear.inputs = {model.inputs.size() + model.nodes.size() - 1};
    model.nodes.push_back(linear);
    model.outputs = {model.inputs.size() + model.nodes.size() - 1};
    op = {};
    op.code = checker::OpCode::kLinear;
    op.node = "fc";
    op.inputs = {plan.tensors.size() - 1};
    op.output = plan.tensors.size();
    op.weights = linear.weights->codes;
    op.weight_bits = 8;
    op.bias = {0};
    plan.ops.push_back(op);
    plan.tensors.push_back(tensor("fc", 1, 32, arena, 0));
    plan.tensors.back().is_output = true;
    plan.inputs = {0};
    plan.outputs = {plan.tensors.size() - 1};
    plan.arena_bytes = arena + 16;
  }

  checker::Model model;
  checker::Plan plan;
};

// Behind the last node a quantize to 2 bits, rounded down; the plan's only operator makes its
// codes.
inline void quantize_to_two_bits(Sum& sum, const checker::ScaleStep& steps) {
  checker::Node quantize;
  quantize.name = quantize.op = "quantize";
  quantize.inputs = {sum.model.value_count() - 1};
  quantize.quantize = checker::Decimals{{0}, 0};
  quantize.bits = 2;
  quantize.rounding = checker::Rounding::kFloor;
  sum.model.nodes.push_back(quantize);
  sum.model.outputs = {sum.model.value_count() - 1};
  checker::PlanTensor& output = sum.plan.tensors.back();
  output.name = "quantize";
  output.bits = 2;
  output.bytes = 1;
  sum.plan.ops[0].post.kind = checker::PostKind::kScale;
  sum.plan.ops[0].post.scales = {steps};
}

// The obligation that does not hold; empty when all do.
inline std::string broken(const checker::Model& model, const checker::Plan& plan) {
  try {
    checker::prove(model, plan);
    return "";
  } catch (const checker::Failure& failure) {
    CHECK(!failure.is_unknown);
    CHECK(failure.text.find("layer '" + failure.layer + "'") != std::string::npos);
    return failure.obligation;
  }
}

}  // namespace lockstep::test
