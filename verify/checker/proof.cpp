#include "verify/checker/proof.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "verify/checker/memory.h"
#include "verify/checker/products.h"
#include "verify/checker/settle.h"

namespace lockstep::checker {
namespace {

std::string_view name_of(OpCode code) {
  static const std::map<OpCode, std::string_view> kNames = {
      {OpCode::kConv2d, "conv2d"},
      {OpCode::kConvTranspose2d, "conv_transpose2d"},
      {OpCode::kLinear, "linear"},
      {OpCode::kAvgPool2d, "avg_pool2d"},
      {OpCode::kAdd, "add"},
      {OpCode::kMul, "mul"},
      {OpCode::kMaxPool2d, "max_pool2d"},
      {OpCode::kArgMax, "argmax"},
      {OpCode::kMove, "move"},
      {OpCode::kRequantize, "requantize"},
      {OpCode::kTable, "table"}};
  return kNames.at(code);
}

class Prover {
 public:
  Prover(const Model& model, const Plan& plan)
      : plan_(plan), values_(model), state_(values_, plan) {}

  Proof run() {
    if (plan_.name != values_.model().name)
      wrong(plan_.name, "wiring", "the plan is that of another network");
    check_inputs();
    for (const PlanOp& op : plan_.ops) check_op(op);
    check_outputs();
    for (std::size_t t = 0; t < plan_.tensors.size(); ++t)
      if (state_.held[t].empty())
        wrong(plan_.tensors[t].name, "wiring", "no operator computes its tensor");
    proof_.arena_pairs_checked = check_memory(plan_);
    return std::move(proof_);
  }

 private:
  void check_inputs() {
    const Model& model = values_.model();
    if (plan_.inputs.size() != model.inputs.size())
      wrong(model.name, "wiring", "the plan has another number of inputs");
    for (std::size_t i = 0; i < model.inputs.size(); ++i) {
      const Input& input = model.inputs[i];
      const PlanTensor& tensor = plan_.tensors[plan_.inputs[i]];
      const bool is_raw = input.raw.has_value();
      if (tensor.name != input.name || tensor.has_map || tensor.is_raw != is_raw ||
          (is_raw ? tensor.is_named : tensor.bits != input.bits) || !state_.fits(tensor))
        wrong(input.name, "wiring", "the plan's input is another tensor");
      Elements& held = state_.held[plan_.inputs[i]];
      const Elements& fed = values_.fed(i);
      for (Int p = 0; p < tensor.count(); ++p) {
        held.push_back(fed[static_cast<std::size_t>(graph_index(tensor, p))]);
        if (held.back().decimal != tensor.decimals[static_cast<std::size_t>(p % tensor.channels)])
          wrong(input.name, "grid", "the plan's input is on another grid");
      }
    }
    for (const PlanTensor& tensor : plan_.tensors)
      if (tensor.is_named && !state_.fits(tensor))
        wrong(tensor.name, "wiring", "its tensor has another shape, or no node of the graph");
  }

  void check_outputs() {
    const Model& model = values_.model();
    if (plan_.outputs.size() != model.outputs.size())
      wrong(model.name, "wiring", "the plan has another number of outputs");
    for (std::size_t i = 0; i < model.outputs.size(); ++i) {
      const std::size_t value = model.outputs[i];
      const PlanTensor& tensor = plan_.tensors[plan_.outputs[i]];
      const auto found = values_.find(tensor.name);
      // The tensor may have the name of a node whose value is the same, element by element.
      const bool is_it =
          found && values_.shape(*found) == values_.shape(value) &&
          std::ranges::equal(values_.elements(*found), values_.elements(value),
                             [](const Element& a, const Element& b) { return a.is_same(b); });
      if (!is_it || !tensor.is_named || tensor.has_map)
        wrong(model.value_name(value), "wiring",
              fmt::format("output {} of the plan is '{}'", i, tensor.name));
    }
    // softmax keeps only the order of its inputs, so nothing may compute with it.
    const std::size_t inputs = model.inputs.size();
    for (const Node& node : model.nodes)
      for (const std::size_t input : node.inputs)
        if (input >= inputs && model.nodes[input - inputs].op.ends_with("softmax") &&
            node.op != "identity" && node.op != "dropout" && !node.op.ends_with("softmax"))
          fail_unknown(node.name, "operators", "it computes with the result of a softmax");
  }

  void check_op(const PlanOp& op) {
    const PlanTensor& output = plan_.tensors[op.output];
    if (!values_.find(op.node)) wrong(op.node, "wiring", "no node of the graph has this name");
    for (const std::size_t input : op.inputs)
      if (state_.held[input].empty()) wrong(op.node, "wiring", "it reads what is not computed yet");
    if (!state_.held[op.output].empty() || output.is_input)
      wrong(op.node, "wiring", fmt::format("it computes '{}' again", output.name));
    std::vector<Source> sources;
    std::vector<ChannelFacts> facts(static_cast<std::size_t>(output.channels));
    const OpChecker checker(state_, op);
    if (op.code == OpCode::kMul) {
      sources = checker.products(facts);
    } else if (op.code == OpCode::kMaxPool2d) {
      sources = checker.largest();
    } else if (op.code == OpCode::kArgMax) {
      sources = checker.argmax();
    } else if (op.code == OpCode::kMove) {
      sources = checker.moved();
    } else if (op.code == OpCode::kRequantize || op.code == OpCode::kTable) {
      sources = checker.codes();
    } else {
      sources = checker.sums(facts, proof_.weights_checked);
    }
    settle(state_, op, sources, facts);
    proof_.elements_checked += output.count();
    add_facts(op, output, std::move(facts));
    if (const auto value = values_.find(op.node);
        value && !values_.float_bounds(*value).empty() &&
        std::ranges::max(values_.float_bounds(*value)) >= kFloat32Steps &&
        std::ranges::find(proof_.unstable_layers, op.node) == proof_.unstable_layers.end())
      proof_.unstable_layers.push_back(op.node);
  }

  // Neighbouring channels that are alike become one entry.
  void add_facts(const PlanOp& op, const PlanTensor& output, std::vector<ChannelFacts> facts) {
    LayerFacts layer{op.node, std::string(name_of(op.code)), output.name, {}};
    for (ChannelFacts& next : facts) {
      next.first = next.last = static_cast<Int>(&next - facts.data());
      if (!layer.channels.empty()) {
        ChannelFacts& last = layer.channels.back();
        if (last.post == next.post && last.method == next.method &&
            last.is_float32_exact == next.is_float32_exact &&
            last.accumulator_bits == next.accumulator_bits) {
          last.last = next.last;
          last.lo = std::min(last.lo, next.lo);
          last.hi = std::max(last.hi, next.hi);
          last.bound = std::max(last.bound, next.bound);
          last.float_bound = std::max(last.float_bound, next.float_bound);
          last.arguments = std::max(last.arguments, next.arguments);
          continue;
        }
      }
      layer.channels.push_back(next);
    }
    proof_.layers.push_back(std::move(layer));
  }

  const Plan& plan_;
  GraphValues values_;
  State state_;
  Proof proof_;
};

}  // namespace

Proof prove(const Model& model, const Plan& plan) { return Prover(model, plan).run(); }

}  // namespace lockstep::checker
