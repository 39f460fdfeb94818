#include "compile/passes/lower.h"

#include <fmt/format.h>
#include <algorithm>
#include <map>

#include "compile/ops/lowering.h"
#include "compile/support/error.h"
#include "intrt/plan_format.h"

namespace lockstep::passes {
namespace {

ir::Value input_value(const GraphInput& input) {
  ir::Value value{.node = input.name,
                  .shape = {},
                  .bits = static_cast<int>(input.bits),
                  .decimals = {static_cast<int>(input.decimal)},
                  .ranges = {},
                  .keep = true,
                  .bytes = false,
                  .exact = true,
                  .offsets = {},
                  .arena_offset = {}};
  const std::vector<std::int64_t>& s = input.shape;
  const auto refuse = [&](const std::string& reason) {
    throw InputError(fmt::format("input '{}': {}", input.name, reason));
  };
  if (s.empty() || s.size() > 3)
    refuse(fmt::format("its shape has {} dimensions, but 1 to 3 are supported", s.size()));
  if (input.bits < 2 || input.bits > 16)
    refuse(fmt::format("bits = {}, but the runtime supports 2 to 16", input.bits));
  for (const std::int64_t extent : s)
    if (extent < 1 || extent > std::int64_t{INTRT_MAX_DIM})
      refuse(fmt::format("a dimension is {}, but 1 to {} are supported", extent, INTRT_MAX_DIM));
  value.shape = {.c = s[0],
                 .h = s.size() == 3 ? s[1] : 1,
                 .w = s.size() == 1 ? 1 : s.back(),
                 .logical_rank = static_cast<int>(s.size())};
  if (value.shape.count() > std::int64_t{1} << 28)
    refuse(fmt::format("it has {} elements, but at most {} are supported", value.shape.count(),
                       std::int64_t{1} << 28));
  value.ranges.assign(static_cast<std::size_t>(value.shape.c), ir::code_limits(value.bits));
  return value;
}

// The value of node `name` as a kept value of that name. Operators that do nothing (dropout) share
// their input's value; it takes their name, or is copied when it must keep its own.
ir::ValueId keep_as(ir::Program& program, ir::ValueId id, const std::string& name) {
  ir::Value& value = program.values[id];
  if (value.node != name && value.keep) {
    ir::Post post;
    if (value.bits <= ir::kMostCodeBits) post.function = ir::identity_requantize(value.bits);
    ir::Value copy = value;
    copy.node = name;
    copy.keep = true;
    copy.offsets.clear();
    const ir::ValueId copy_id = program.values.size();
    program.values.push_back(std::move(copy));
    program.ops.push_back({.node = name,
                           .inputs = {id},
                           .output = copy_id,
                           .kind = ir::RequantizeOp{std::move(post)}});
    return copy_id;
  }
  value.node = name;
  value.keep = true;
  return id;
}

// An output that nothing quantizes may still have its float bias pending: the reader adds it.
void attach_offsets(ir::Value& value, const ops::Pending& pending, const std::string& name) {
  const auto refuse = [&](const std::string& what) {
    throw InputError(fmt::format(
        "output '{}': {}; put a quantize node behind it, or take an output before it", name, what));
  };
  if (!pending.mask.empty()) refuse("a prune node acts on values that are not quantized");
  if (value.bits <= 16)
    refuse(fmt::format("it is not quantized: '{}' computes in float", pending.origin));
  for (const ops::FloatChain& chain : pending.chains) {
    if (chain.size() != 1 || chain[0].kind != ops::FloatStep::Kind::kAdd)
      refuse(fmt::format(
          "it is not quantized, and more than one float bias in every channel acts on it ('{}' is "
          "the first layer that computes in float)",
          pending.origin));
    value.offsets.push_back(chain[0].a);
  }
  value.exact = true;
}

}  // namespace

ir::Program lower(const Graph& graph, const Parameters& parameters, bool keep_layers) {
  ir::Program program;
  program.name = graph.name;
  std::map<std::string, ops::NodeValue, std::less<>> values;
  for (const GraphInput& input : graph.inputs) {
    values[input.name] = {.id = program.values.size(), .pending = {}, .order_of = {}};
    program.inputs.push_back(program.values.size());
    program.values.push_back(input_value(input));
  }
  for (const Node& node : graph.nodes) {
    const ops::LowerFunction lower_node = ops::find_lowering(node.op);
    if (lower_node == nullptr)
      throw InputError(fmt::format("layer '{}': the compiler does not support operator '{}'",
                                   node.name, node.op));
    std::vector<ops::NodeValue> inputs;
    for (const std::string& name : node.inputs) inputs.push_back(values.at(name));
    ops::Lowering lowering(program, node, parameters.of(node), std::move(inputs));
    values[node.name] = lower_node(lowering);
    if (keep_layers && node.op == "quantize") program.values[values[node.name].id].keep = true;
  }
  // An output that is a softmax is the value that it orders, under that node's name.
  std::vector<std::string> outputs;
  for (const std::string& name : graph.outputs) {
    if (graph.find_input(name) != nullptr)
      throw InputError(fmt::format("output '{}': a network input is no output", name));
    const std::string& order_of = values.at(name).order_of;
    outputs.push_back(order_of.empty() ? name : order_of);
    if (graph.find_input(outputs.back()) != nullptr)
      throw InputError(fmt::format("output '{}': a network input is no output", name));
    if (std::count(outputs.begin(), outputs.end(), outputs.back()) > 1)
      throw InputError(fmt::format("output '{}': '{}' is an output already", name, outputs.back()));
  }
  // Outputs under their own names come first, so that a copy is made only of what must keep its
  // name.
  for (const std::string& name : outputs) {
    ir::Value& value = program.values[values.at(name).id];
    if (value.node == name) value.keep = true;
  }
  for (const std::string& name : outputs) {
    const ops::NodeValue& value = values.at(name);
    program.outputs.push_back(keep_as(program, value.id, name));
    if (value.pending) attach_offsets(program.values[program.outputs.back()], *value.pending, name);
  }
  return program;
}

}  // namespace lockstep::passes
