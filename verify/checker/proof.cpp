#include "verify/checker/proof.h"

#include "verify/checker/settle.h"

namespace lockstep::checker {
namespace {

// Throws Failure unless every tensor lies in the arena and none is written over while it is still
// to be read. A tensor is needed from the operator that makes it (an input: from the start) to its
// last reader (an output: to the end). An operator that works element by element may write over an
// input of the same shape that dies with it and begins at the same byte, if its elements are not
// larger. Returns how many pairs of tensors were looked at that are needed at the same time.
Int check_memory(const Plan& plan) {
  const auto ops = static_cast<Int>(plan.ops.size());
  struct Life {
    Int made = -1, last = -1;
  };
  std::vector<Life> lives(plan.tensors.size());
  for (Int k = 0; k < ops; ++k) {
    const PlanOp& op = plan.ops[at(k)];
    lives[op.output] = {k, std::max(k, lives[op.output].last)};
    for (const std::size_t input : op.inputs) lives[input].last = k;
  }
  for (const std::size_t output : plan.outputs) lives[output].last = ops;

  // Whether tensor b, made by the last operator that reads a, may lie on it.
  const auto in_place = [&](std::size_t a, std::size_t b) {
    if (lives[b].made < 0 || lives[a].last != lives[b].made) return false;
    const PlanOp& op = plan.ops[at(lives[b].made)];
    const bool by_element = op.code == OpCode::kRequantize || op.code == OpCode::kTable ||
                            op.code == OpCode::kAdd || op.code == OpCode::kMul;
    const PlanTensor &from = plan.tensors[a], &to = plan.tensors[b];
    return by_element && std::ranges::find(op.inputs, a) != op.inputs.end() &&
           from.has_shape_of(to) && from.arena_offset == to.arena_offset && to.bytes <= from.bytes;
  };
  Int pairs = 0;
  for (std::size_t a = 0; a < plan.tensors.size(); ++a) {
    const PlanTensor& one = plan.tensors[a];
    const Int end = one.arena_offset + one.bytes;
    if (one.arena_offset < 0 || end > plan.arena_bytes)
      wrong(one.name, "memory", "its tensor leaves the arena");
    for (std::size_t b = a + 1; b < plan.tensors.size(); ++b) {
      if (lives[a].made > lives[b].last || lives[b].made > lives[a].last) continue;
      ++pairs;
      const PlanTensor& other = plan.tensors[b];
      const Int other_end = other.arena_offset + other.bytes;
      if (one.arena_offset < other_end && other.arena_offset < end && !in_place(a, b) &&
          !in_place(b, a))
        wrong(other.name, "memory",
              "its tensor at arena bytes {} to {} overlaps that of '{}' at {} to {}, and both are "
              "needed at the same time",
              other.arena_offset, other_end, one.name, one.arena_offset, end);
    }
  }
  return pairs;
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
        held.push_back(fed[at(graph_index(tensor, p))]);
        if (held.back().decimal != tensor.decimals[at(p % tensor.channels)])
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
        wrong(model.value_name(value), "wiring", "output {} of the plan is '{}'", i, tensor.name);
    }
    // softmax keeps only the order of its inputs, so nothing may compute with it.
    for (const Node& node : model.nodes)
      for (const std::size_t input : node.inputs)
        if (input >= model.inputs.size() && model.node(input).op.ends_with("softmax") &&
            node.op != "identity" && node.op != "dropout" && !node.op.ends_with("softmax"))
          unknown(node.name, "operators", "it computes with the result of a softmax");
  }

  void check_op(const PlanOp& op) {
    const PlanTensor& output = plan_.tensors[op.output];
    if (!values_.find(op.node)) wrong(op.node, "wiring", "no node of the graph has this name");
    for (const std::size_t input : op.inputs)
      if (state_.held[input].empty()) wrong(op.node, "wiring", "it reads what is not computed yet");
    if (!state_.held[op.output].empty() || output.is_input)
      wrong(op.node, "wiring", "it computes '{}' again", output.name);
    std::vector<ChannelFacts> facts(at(output.channels));
    in_layer(op.node, [&] { settle(state_, op, sources_of(state_, op, facts), facts); });
    proof_.weights_checked += static_cast<Int>(op.weights.size() + op.bias.size());
    proof_.elements_checked += output.count();
    add_facts(op, output, facts);
    const std::vector<Int>& bounds = values_.float_bounds(*values_.find(op.node));
    std::vector<std::string>& unstable = proof_.unstable_layers;
    if (!bounds.empty() && std::ranges::max(bounds) >= kFloat32Steps &&
        std::ranges::find(unstable, op.node) == unstable.end())
      unstable.push_back(op.node);
  }

  // Neighbouring channels that are alike become one entry.
  void add_facts(const PlanOp& op, const PlanTensor& output, std::vector<ChannelFacts>& facts) {
    LayerFacts layer{op.node, std::string(op.name), output.name, {}};
    const auto kind = [](const ChannelFacts& of) {
      return std::tie(of.post, of.method, of.is_float32_exact, of.accumulator_bits);
    };
    for (ChannelFacts& next : facts) {
      next.first = next.last = static_cast<Int>(&next - facts.data());
      if (layer.channels.empty() || kind(layer.channels.back()) != kind(next)) {
        layer.channels.push_back(next);
        continue;
      }
      ChannelFacts& last = layer.channels.back();
      last.last = next.last;
      last.lo = std::min(last.lo, next.lo);
      last.hi = std::max(last.hi, next.hi);
      last.bound = std::max(last.bound, next.bound);
      last.float_bound = std::max(last.float_bound, next.float_bound);
      last.arguments = std::max(last.arguments, next.arguments);
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
