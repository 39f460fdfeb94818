#include "compile/passes/lower.h"

#include <fmt/format.h>
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
    if (value.bits != 32) {
      const ir::Range all = ir::code_limits(value.bits);
      post.requantize = ir::Requantize{.shifts = {0},
                                       .rounding = Rounding::kTowardZero,
                                       .lo = static_cast<std::int32_t>(all.lo),
                                       .hi = static_cast<std::int32_t>(all.hi)};
    }
    ir::Value copy = value;
    copy.node = name;
    copy.keep = true;
    const ir::ValueId copy_id = program.values.size();
    program.values.push_back(std::move(copy));
    program.ops.push_back({.node = name,
                           .input = id,
                           .more_inputs = {},
                           .output = copy_id,
                           .kind = ir::RequantizeOp{std::move(post)}});
    return copy_id;
  }
  value.node = name;
  value.keep = true;
  return id;
}

}  // namespace

ir::Program lower(const Graph& graph, const Parameters& parameters, bool keep_layers) {
  ir::Program program;
  program.name = graph.name;
  std::map<std::string, ir::ValueId, std::less<>> values;
  for (const GraphInput& input : graph.inputs) {
    values[input.name] = program.values.size();
    program.inputs.push_back(program.values.size());
    program.values.push_back(input_value(input));
  }
  for (const Node& node : graph.nodes) {
    const ops::LowerFunction lower_node = ops::find_lowering(node.op);
    if (lower_node == nullptr)
      throw InputError(fmt::format("layer '{}': the compiler does not support operator '{}'",
                                   node.name, node.op));
    LOCKSTEP_ASSERT(node.inputs.size() == 1);
    ops::Lowering lowering(program, node, parameters.of(node), values.at(node.inputs[0]));
    const ir::ValueId result = lower_node(lowering);
    values[node.name] = result;
    if (keep_layers && node.op == "quantize") program.values[result].keep = true;
  }
  for (const std::string& name : graph.outputs)
    if (graph.find_input(name) != nullptr)
      throw InputError(fmt::format("output '{}': a network input is no output", name));
  // Outputs under their own names come first, so that a copy is made only of what must keep its
  // name.
  for (const std::string& name : graph.outputs)
    if (program.values[values.at(name)].node == name) program.values[values.at(name)].keep = true;
  for (const std::string& name : graph.outputs)
    program.outputs.push_back(keep_as(program, values.at(name), name));
  return program;
}

}  // namespace lockstep::passes
