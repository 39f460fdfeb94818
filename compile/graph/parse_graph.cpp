// graph.json to Graph: defaults filled in, everything unknown or out of range refused by name.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "compile/graph/fields.h"
#include "compile/graph/graph.h"
#include "compile/graph/op_schema.h"
#include "compile/graph/raw_bytes.h"
#include "compile/graph/specs.h"
#include "compile/support/error.h"
#include "compile/support/files.h"
#include "compile/support/strict_json.h"

namespace lockstep {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxFileBytes = std::size_t{16} << 20;
constexpr std::size_t kMaxCount = 65536;    // of inputs, nodes, outputs
constexpr std::size_t kMaxNameBytes = 251;  // NAME.npy is a file name, which may have 255
constexpr std::int64_t kMaxDim = 65536;
constexpr std::size_t kMaxRank = 3;  // of an input, without the batch

// Names become file names and state-dict keys.
void check_name(const std::string& name, const std::string& where) {
  const auto is_forbidden = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f || c == '/';
  };
  if (name.empty() || name.size() > kMaxNameBytes || std::ranges::any_of(name, is_forbidden))
    throw InputError(
        fmt::format("{}: name {} must have 1 to {} bytes, without '/' and control characters",
                    where, shown(name), kMaxNameBytes));
}

// At most one of each kind: QSPARSE would give two the same state-dict keys.
std::vector<Wrap> parse_wraps(Fields& fields, const OpSchema& schema) {
  std::vector<Wrap> wraps;
  const json* const list = fields.find("wrap");
  if (list == nullptr) return wraps;
  fields.to_list(*list, "wrap", 0, 2);
  if (!list->empty() && schema.weight_shape == nullptr)
    throw InputError(fmt::format("{}: 'wrap' on operator '{}', which has no weight", fields.owner(),
                                 schema.name));
  for (std::size_t i = 0; i < list->size(); ++i) {
    Fields entry((*list)[i], fmt::format("{}: wrap[{}]", fields.owner(), i), "it");
    const std::string type = entry.text("type");
    if (type == "prune")
      wraps.emplace_back(parse_prune(entry));
    else if (type == "quantize")
      wraps.emplace_back(parse_quantize(entry, true));
    else
      entry.refuse("type", type, "it must be \"prune\" or \"quantize\"");
    entry.refuse_unknown_members();
    if (i == 1 && wraps[0].index() == wraps[1].index())
      throw InputError(
          fmt::format("{}: a weight can be wrapped by '{}' only once", fields.owner(), type));
  }
  return wraps;
}

std::vector<std::int64_t> parse_list(const Fields& fields, const AttributeSchema& schema,
                                     const json& value) {
  const auto lo = static_cast<std::int64_t>(schema.lo), hi = static_cast<std::int64_t>(schema.hi);
  const auto element = [&](const json& one) {
    return schema.infers_one && one == -1 ? -1 : fields.to_integer(one, schema.name, lo, hi);
  };
  if (!value.is_array() && schema.least_count == 1) return {element(value)};
  fields.to_list(value, schema.name, schema.least_count, schema.most_count);
  if (value.size() % schema.count_step != 0)
    fields.refuse(
        schema.name, value,
        fmt::format("the number of its values must be a multiple of {}", schema.count_step));
  std::vector<std::int64_t> values;
  for (const json& one : value) values.push_back(element(one));
  if (schema.infers_one && std::ranges::count(values, -1) > 1)
    fields.refuse(schema.name, value, "only one of its values may be -1");
  return values;
}

std::string parse_choice(const Fields& fields, const AttributeSchema& schema, const json& value) {
  const auto found = std::ranges::find_if(
      schema.choices, [&](std::string_view candidate) { return value == candidate; });
  if (found == schema.choices.end())
    fields.refuse(schema.name, value,
                  fmt::format("it must be one of \"{}\"", fmt::join(schema.choices, "\", \"")));
  return std::string(*found);
}

AttributeValue parse_attribute(const Fields& fields, const AttributeSchema& schema,
                               std::size_t spatial_axes, const json& value) {
  const auto lo = static_cast<std::int64_t>(schema.lo), hi = static_cast<std::int64_t>(schema.hi);
  switch (schema.kind) {
    case AttributeKind::kFlag:
      return fields.to_flag(value, schema.name);
    case AttributeKind::kNumber:
      return fields.to_number(value, schema.name, schema.lo, schema.hi);
    case AttributeKind::kInteger:
      return std::vector{fields.to_integer(value, schema.name, lo, hi)};
    case AttributeKind::kList:
      return parse_list(fields, schema, value);
    case AttributeKind::kChoice:
      return parse_choice(fields, schema, value);
    case AttributeKind::kSpatial:
      break;
  }
  if (!value.is_array())
    return std::vector(spatial_axes, fields.to_integer(value, schema.name, lo, hi));
  std::vector<std::int64_t> axes;
  for (const json& axis : fields.to_list(value, schema.name, spatial_axes, spatial_axes))
    axes.push_back(fields.to_integer(axis, schema.name, lo, hi));
  return axes;
}

AttributeValue default_value(const Fields& fields, const Node& node, const AttributeSchema& schema,
                             std::size_t spatial_axes) {
  switch (schema.default_kind) {
    case AttributeDefault::kRequired:
      throw InputError(fmt::format("{}: attribute '{}' is missing", fields.owner(), schema.name));
    case AttributeDefault::kOther:
      return node.integers(schema.other);
    case AttributeDefault::kValue:
      break;
  }
  switch (schema.kind) {
    case AttributeKind::kFlag:
      return schema.value != 0;
    case AttributeKind::kNumber:
      return schema.value;
    case AttributeKind::kInteger:
      return std::vector{static_cast<std::int64_t>(schema.value)};
    case AttributeKind::kChoice:
      return std::string(schema.choices[static_cast<std::size_t>(schema.value)]);
    case AttributeKind::kList:
      LOCKSTEP_ASSERT(!"a list has no default");
    case AttributeKind::kSpatial:
      break;
  }
  return std::vector(spatial_axes, static_cast<std::int64_t>(schema.value));
}

void check_constraints(const Fields& fields, const Node& node, const AttributeSchema& schema) {
  if (!schema.at_most_half_of.empty()) {
    const std::vector<std::int64_t>& values = node.integers(schema.name);
    const std::vector<std::int64_t>& others = node.integers(schema.at_most_half_of);
    for (std::size_t i = 0; i < values.size(); ++i)
      if (values[i] > others[i] / 2)
        fields.refuse(schema.name, values,
                      fmt::format("it may be at most half of {} = {}", schema.at_most_half_of,
                                  shown(others)));
  }
  if (!schema.below_larger_a.empty()) {
    const std::vector<std::int64_t>& values = node.integers(schema.name);
    const std::vector<std::int64_t>& a = node.integers(schema.below_larger_a);
    const std::vector<std::int64_t>& b = node.integers(schema.below_larger_b);
    for (std::size_t i = 0; i < values.size(); ++i)
      if (values[i] >= std::max(a[i], b[i]))
        fields.refuse(
            schema.name, values,
            fmt::format("it must be below the larger of {} = {} and {} = {}", schema.below_larger_a,
                        shown(a), schema.below_larger_b, shown(b)));
  }
  for (const std::string_view other : {schema.divides_a, schema.divides_b})
    if (!other.empty() && node.integer(other) % node.integer(schema.name) != 0)
      fields.refuse(schema.name, node.integer(schema.name),
                    fmt::format("it must divide {} = {}", other, node.integer(other)));
}

void parse_attributes(Node& node, const OpSchema& schema, Fields& node_fields) {
  static const json kNone = json::object();
  const json* const found = node_fields.find("attrs");
  Fields fields(found ? *found : kNone, node_fields.owner(), "'attrs'");
  if (schema.role == OpRole::kQuantize) node.quantize = parse_quantize(fields, false);
  if (schema.role == OpRole::kPrune) node.prune = parse_prune(fields);
  for (const AttributeSchema& attribute : schema.attributes) {
    const json* const value = fields.find(attribute.name);
    node.attributes.emplace(attribute.name,
                            value ? parse_attribute(fields, attribute, schema.spatial_axes, *value)
                                  : default_value(fields, node, attribute, schema.spatial_axes));
  }
  fields.set_owner(node_fields.owner() + ": attrs");
  fields.refuse_unknown_members();
  fields.set_owner(node_fields.owner());
  for (const AttributeSchema& attribute : schema.attributes)
    check_constraints(fields, node, attribute);
}

std::vector<std::string> parse_names(Fields& fields, std::string_view member) {
  std::vector<std::string> names;
  for (const json& name : fields.to_list(fields.require(member), member, 0, kMaxCount)) {
    if (!name.is_string()) fields.refuse(member, name, "it must be a list of names");
    names.push_back(name.get<std::string>());
  }
  return names;
}

Node parse_node(const json& value, const std::string& file, std::size_t index) {
  Fields fields(value, fmt::format("{}: nodes[{}]", file, index), "a node");
  Node node;
  node.name = fields.text("name");
  check_name(node.name, fields.owner());
  fields.set_owner(fmt::format("{}: layer '{}'", file, node.name));
  node.op = fields.text("op");
  const OpSchema* const schema = find_op_schema(node.op);
  if (schema == nullptr) {
    std::vector<std::string_view> known;
    for (const OpSchema& candidate : op_schemas()) known.push_back(candidate.name);
    throw InputError(fmt::format("{}: unknown operator {}; known: {}", fields.owner(),
                                 shown(node.op), fmt::join(known, ", ")));
  }
  node.inputs = parse_names(fields, "inputs");
  if (node.inputs.size() < schema->least_inputs || node.inputs.size() > schema->most_inputs)
    throw InputError(fmt::format(
        "{}: {} inputs, but operator '{}' takes {}", fields.owner(), node.inputs.size(), node.op,
        schema->least_inputs == schema->most_inputs
            ? fmt::to_string(schema->least_inputs)
            : fmt::format("{} to {}", schema->least_inputs, schema->most_inputs)));
  parse_attributes(node, *schema, fields);
  node.wraps = parse_wraps(fields, *schema);
  fields.refuse_unknown_members();
  if (const QuantizeSpec* const spec = node.weight_quantize()) {
    const auto rank = static_cast<std::int64_t>(schema->weight_shape(node).size());
    if (spec->channelwise >= rank)
      fields.refuse(
          "channelwise", spec->channelwise,
          fmt::format("the weight has {} axes (0 to {}; negative: per tensor)", rank, rank - 1));
  }
  return node;
}

GraphInput parse_input(const json& value, const std::string& file, std::size_t index) {
  Fields fields(value, fmt::format("{}: inputs[{}]", file, index), "an input");
  GraphInput input;
  input.name = fields.text("name");
  check_name(input.name, fields.owner());
  fields.set_owner(fmt::format("{}: input '{}'", file, input.name));
  for (const json& dim : fields.to_list(fields.require("shape"), "shape", 1, kMaxRank))
    input.shape.push_back(fields.to_integer(dim, "shape", 1, kMaxDim));
  fields.read_integer("bits", input.bits, 2, 16);
  fields.read_integer("decimal", input.decimal, -kMaxDecimal, kMaxDecimal);
  if (const json* const found = fields.find("raw")) {
    Fields raw(*found, fmt::format("{}: raw", fields.owner()), "it");
    input.raw = parse_raw_bytes(raw, input.shape.front());
    raw.refuse_unknown_members();
    try {
      codes_of_bytes(input);
    } catch (const InputError& error) {
      throw InputError(fmt::format("{}: {}", file, error.what()));
    }
  }
  fields.refuse_unknown_members();
  return input;
}

// Every node reads graph inputs and earlier nodes only. What else a name can be is told apart: a
// cycle, a node that comes too late, or nothing at all.
class WiringCheck {
 public:
  WiringCheck(const Graph& graph, const std::string& file) : graph_(graph), file_(file) {
    for (const GraphInput& input : graph.inputs) add(input.name, kInputPosition);
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) add(graph.nodes[i].name, i);
  }

  void check_nodes() const {
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i)
      for (const std::string& name : graph_.nodes[i].inputs) check_input(i, name);
  }

  void check_outputs() const {
    if (graph_.outputs.empty()) throw InputError(fmt::format("{}: 'outputs' is empty", file_));
    std::set<std::string_view> seen;
    for (const std::string& name : graph_.outputs) {
      const auto found = position_.find(name);
      if (found == position_.end() || found->second == kInputPosition)
        throw InputError(fmt::format("{}: output {} is no node", file_, shown(name)));
      if (!seen.insert(name).second)
        throw InputError(fmt::format("{}: output '{}' is listed twice", file_, name));
    }
  }

 private:
  static constexpr std::size_t kInputPosition = SIZE_MAX;

  void add(std::string_view name, std::size_t position) {
    if (!position_.emplace(name, position).second)
      throw InputError(
          fmt::format("{}: layer '{}': two nodes or inputs have this name", file_, name));
  }

  void check_input(std::size_t reader, const std::string& name) const {
    const std::string& reader_name = graph_.nodes[reader].name;
    const auto found = position_.find(name);
    if (found == position_.end())
      throw InputError(fmt::format("{}: layer '{}': input {} is no node and no graph input", file_,
                                   reader_name, shown(name)));
    if (found->second == kInputPosition || found->second < reader) return;
    const std::vector<std::string_view> path = path_between(reader, found->second);
    if (path.empty())
      throw InputError(fmt::format(
          "{}: layer '{}': input '{}' is computed later; nodes must be in execution order", file_,
          reader_name, name));
    constexpr std::size_t kShown = 10;
    const bool is_long = path.size() > kShown;
    throw InputError(fmt::format(
        "{}: layer '{}': the graph has a cycle: {}{} -> {}", file_, reader_name,
        fmt::join(path.begin(), path.begin() + (is_long ? kShown : path.size()), " -> "),
        is_long ? " -> ..." : "", reader_name));
  }

  // The names from `reader` along its consumers to `producer`; empty when there is no such path.
  std::vector<std::string_view> path_between(std::size_t reader, std::size_t producer) const {
    std::vector<std::size_t> next_of(graph_.nodes.size(), kInputPosition);  // towards `producer`
    std::vector<std::size_t> pending = {producer};
    std::vector<bool> seen(graph_.nodes.size());
    seen[producer] = true;
    while (!pending.empty() && !seen[reader]) {
      const std::size_t node = pending.back();
      pending.pop_back();
      for (const std::string& name : graph_.nodes[node].inputs) {
        const auto found = position_.find(name);
        if (found == position_.end() || found->second == kInputPosition || seen[found->second])
          continue;
        seen[found->second] = true;
        next_of[found->second] = node;
        pending.push_back(found->second);
      }
    }
    std::vector<std::string_view> path;
    if (!seen[reader]) return path;
    for (std::size_t node = reader; node != kInputPosition; node = next_of[node])
      path.push_back(graph_.nodes[node].name);
    return path;
  }

  const Graph& graph_;
  const std::string& file_;
  std::map<std::string_view, std::size_t> position_;
};

}  // namespace

Graph read_graph(const std::filesystem::path& path) {
  return parse_graph(read_text_file(path, kMaxFileBytes), path.string());
}

Graph parse_graph(std::string_view text, const std::string& name_for_errors) {
  if (text.size() > kMaxFileBytes)
    throw InputError(fmt::format("{}: larger than {} bytes, the limit for a graph", name_for_errors,
                                 kMaxFileBytes));
  const json root = parse_strict_json(text, name_for_errors);
  Fields fields(root, name_for_errors, "the graph");
  if (const std::string format = fields.text("format"); format != "lockstep-graph")
    fields.refuse("format", format, "it must be \"lockstep-graph\"");
  fields.to_integer(fields.require("version"), "version", 1, 1);

  Graph graph;
  graph.name = fields.text("name");
  check_name(graph.name, name_for_errors);
  const json& inputs = fields.to_list(fields.require("inputs"), "inputs", 1, kMaxCount);
  for (std::size_t i = 0; i < inputs.size(); ++i)
    graph.inputs.push_back(parse_input(inputs[i], name_for_errors, i));
  const json& nodes = fields.to_list(fields.require("nodes"), "nodes", 1, kMaxCount);
  for (std::size_t i = 0; i < nodes.size(); ++i)
    graph.nodes.push_back(parse_node(nodes[i], name_for_errors, i));
  graph.outputs = parse_names(fields, "outputs");
  fields.refuse_unknown_members();

  const WiringCheck wiring(graph, name_for_errors);
  wiring.check_nodes();
  wiring.check_outputs();
  return graph;
}

}  // namespace lockstep
