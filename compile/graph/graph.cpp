// Access to a graph, and its canonical text. Reading is in parse_graph.cpp.
#include "compile/graph/graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "compile/graph/op_schema.h"
#include "compile/support/error.h"

namespace lockstep {
namespace {

using nlohmann::ordered_json;

template <typename T>
const T& attribute_of(const Node& node, std::string_view name) {
  const auto found = node.attributes.find(name);
  LOCKSTEP_ASSERT(found != node.attributes.end());
  const T* const value = std::get_if<T>(&found->second);
  LOCKSTEP_ASSERT(value != nullptr);
  return *value;
}

template <typename Spec>
const Spec* find_wrap(const Node& node) {
  for (const Wrap& wrap : node.wraps)
    if (const Spec* const spec = std::get_if<Spec>(&wrap)) return spec;
  return nullptr;
}

ordered_json attributes_json(const Node& node) {
  ordered_json json = ordered_json::object();
  for (const AttributeSchema& schema : schema_of(node).attributes) {
    ordered_json& value = json[std::string(schema.name)];
    switch (schema.kind) {
      case AttributeKind::kInteger:
        value = node.integer(schema.name);
        break;
      case AttributeKind::kSpatial:
      case AttributeKind::kList:
        value = node.integers(schema.name);
        break;
      case AttributeKind::kFlag:
        value = node.flag(schema.name);
        break;
      case AttributeKind::kNumber:
        value = node.number(schema.name);
        break;
      case AttributeKind::kChoice:
        value = node.choice(schema.name);
        break;
    }
  }
  return json;
}

// bias_bits belongs to quantize wraps alone.
void add_spec(ordered_json& json, const QuantizeSpec& spec, bool is_wrap) {
  json["bits"] = spec.bits;
  json["channelwise"] = spec.channelwise;
  json["decimal_range"] = {spec.decimal_lo, spec.decimal_hi};
  json["saturate_range"] = {spec.saturate_lo, spec.saturate_hi};
  json["timeout"] = spec.timeout;
  json["interval"] = spec.interval;
  json["window_size"] = spec.window_size;
  if (is_wrap) json["bias_bits"] = spec.bias_bits;
  json["rounding"] = rounding_name(spec.rounding);
}

void add_spec(ordered_json& json, const PruneSpec& spec, bool /*is_wrap*/) {
  json["sparsity"] = spec.sparsity;
  json["start"] = spec.start;
  json["interval"] = spec.interval;
  json["repetition"] = spec.repetition;
  json["window_size"] = spec.window_size;
  json["strict"] = spec.strict;
  json["collapse"] = spec.collapse ? ordered_json(*spec.collapse) : ordered_json("auto");
  json["callback"] = spec.structured_dims ? ordered_json{{"structured", *spec.structured_dims}}
                     : spec.block         ? ordered_json{{"block", *spec.block}}
                                          : ordered_json("unstructured");
}

// One number for all channels, or a list.
ordered_json numbers_json(const std::vector<double>& values) {
  return values.size() == 1 ? ordered_json(values[0]) : ordered_json(values);
}

ordered_json node_json(const Node& node) {
  ordered_json json = {{"name", node.name}, {"op", node.op}, {"inputs", node.inputs}};
  ordered_json attributes = attributes_json(node);
  if (node.quantize) add_spec(attributes, *node.quantize, false);
  if (node.prune) add_spec(attributes, *node.prune, false);
  if (!attributes.empty()) json["attrs"] = std::move(attributes);
  for (const Wrap& wrap : node.wraps) {
    ordered_json entry = {{"type", std::holds_alternative<PruneSpec>(wrap) ? "prune" : "quantize"}};
    std::visit([&](const auto& spec) { add_spec(entry, spec, true); }, wrap);
    json["wrap"].push_back(std::move(entry));
  }
  return json;
}

}  // namespace

std::string_view rounding_name(Rounding rounding) {
  switch (rounding) {
    case Rounding::kTowardZero:
      return "toward_zero";
    case Rounding::kFloor:
      return "floor";
    case Rounding::kHalfEven:
      return "half_even";
  }
  LOCKSTEP_ASSERT(!"a Rounding outside its enumeration");
  return {};
}

std::int64_t Node::integer(std::string_view attribute) const {
  const std::vector<std::int64_t>& values = integers(attribute);
  LOCKSTEP_ASSERT(values.size() == 1);
  return values.front();
}

const std::vector<std::int64_t>& Node::integers(std::string_view attribute) const {
  return attribute_of<std::vector<std::int64_t>>(*this, attribute);
}

bool Node::flag(std::string_view attribute) const { return attribute_of<bool>(*this, attribute); }

double Node::number(std::string_view attribute) const {
  return attribute_of<double>(*this, attribute);
}

const std::string& Node::choice(std::string_view attribute) const {
  return attribute_of<std::string>(*this, attribute);
}

const PruneSpec* Node::weight_prune() const { return find_wrap<PruneSpec>(*this); }
const QuantizeSpec* Node::weight_quantize() const { return find_wrap<QuantizeSpec>(*this); }

const Node* Graph::find_node(std::string_view node_name) const {
  const auto found = std::ranges::find(nodes, node_name, &Node::name);
  return found == nodes.end() ? nullptr : &*found;
}

const GraphInput* Graph::find_input(std::string_view input_name) const {
  const auto found = std::ranges::find(inputs, input_name, &GraphInput::name);
  return found == inputs.end() ? nullptr : &*found;
}

std::string to_json(const Graph& graph) {
  std::string text = "{\"format\": \"lockstep-graph\", \"version\": 1,\n";
  text += fmt::format(" \"name\": {},\n \"inputs\": [", ordered_json(graph.name).dump());
  std::string_view separator = "\n  ";
  for (const GraphInput& input : graph.inputs) {
    ordered_json json = {{"name", input.name},
                         {"shape", input.shape},
                         {"bits", input.bits},
                         {"decimal", input.decimal}};
    if (input.raw)
      json["raw"] = {{"scale", numbers_json(input.raw->scale)},
                     {"mean", numbers_json(input.raw->mean)},
                     {"std", numbers_json(input.raw->std)}};
    text += fmt::format("{}{}", separator, json.dump());
    separator = ",\n  ";
  }
  text += "],\n \"nodes\": [";
  separator = "\n  ";
  for (const Node& node : graph.nodes) {
    text += fmt::format("{}{}", separator, node_json(node).dump());
    separator = ",\n  ";
  }
  text += fmt::format("],\n \"outputs\": {}}}\n", ordered_json(graph.outputs).dump());
  return text;
}

std::string state_key(std::string_view node, std::string_view entry) {
  return fmt::format("{}.{}", node, entry);
}

}  // namespace lockstep
