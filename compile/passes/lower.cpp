#include "compile/passes/lower.h"

#include <fmt/format.h>
#include <algorithm>
#include <map>

#include "compile/graph/raw_bytes.h"
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

// The codes of a raw input are a table of its bytes. Both values carry the input's name: the bytes
// as what is still to become its value, the codes as its value.
ir::ValueId lower_raw_bytes(ir::Program& program, const GraphInput& input, bool keep_codes) {
  ir::Value codes = input_value(input);
  codes.keep = keep_codes;
  ir::Value bytes = codes;
  bytes.keep = true;
  bytes.bytes = true;
  bytes.exact = false;
  bytes.bits = 8;
  bytes.decimals = {0};
  bytes.ranges.assign(bytes.ranges.size(), ir::code_limits(bytes));

  ir::Table table;
  std::map<std::vector<std::int16_t>, std::uint16_t> known;
  std::vector<std::uint16_t> numbers;  // one, or one per channel
  for (const std::vector<std::int16_t>& entries : codes_of_bytes(input)) {
    const auto [found, is_new] =
        known.try_emplace(entries, static_cast<std::uint16_t>(table.tables.size()));
    if (is_new) table.tables.push_back(entries);
    numbers.push_back(found->second);
  }
  if (numbers.size() == 1) numbers.assign(static_cast<std::size_t>(codes.shape.c), numbers.front());
  table.table_of = std::move(numbers);

  const ir::ValueId bytes_id = program.values.size(), codes_id = bytes_id + 1;
  program.inputs.push_back(bytes_id);
  program.values.push_back(std::move(bytes));
  program.values.push_back(std::move(codes));
  ir::Op op{.node = input.name, .inputs = {bytes_id}, .output = codes_id, .kind = std::move(table)};
  program.values[codes_id].ranges = ir::output_ranges(program, op);
  program.ops.push_back(std::move(op));
  return codes_id;
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

// `input` is the relu of sums that only a quantize node can read.
void require_quantize_next(const Node& node, const std::string& input) {
  constexpr std::string_view kMayRead[] = {"quantize", "relu", "prune", "dropout", "identity"};
  if (std::find(std::begin(kMayRead), std::end(kMayRead), node.op) == std::end(kMayRead))
    throw InputError(
        fmt::format("layer '{}': its input '{}' holds sums of more than 32 bits, which only a "
                    "quantize node may "
                    "read; put a quantize node before this layer",
                    node.name, input));
}

}  // namespace

ir::Program lower(const Graph& graph, const Parameters& parameters, bool keep_layers) {
  ir::Program program;
  program.name = graph.name;
  std::map<std::string, ops::NodeValue, std::less<>> values;
  for (const GraphInput& input : graph.inputs) {
    if (input.raw) {
      values[input.name] = {
          .id = lower_raw_bytes(program, input, keep_layers), .pending = {}, .order_of = {}};
      continue;
    }
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
    for (std::size_t k = 0; k < inputs.size(); ++k)
      if (inputs[k].rectified) require_quantize_next(node, node.inputs[k]);
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
    if (values.at(name).rectified)
      throw InputError(fmt::format(
          "output '{}': it holds sums of more than 32 bits; put a quantize node behind it", name));
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
