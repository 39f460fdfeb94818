// graph.json: the network with its quantize and prune nodes, as written by people and tools.
//
// Nothing here knows what an operator computes. op_schema.cpp lists, once, which operators exist
// and which attributes each takes; parse_graph fills in defaults and refuses everything else by
// node name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace lockstep {

// The values equal INTRT_ROUND_*.
enum class Rounding : std::uint8_t { kTowardZero, kFloor, kHalfEven };
std::string_view rounding_name(Rounding rounding);  // "toward_zero", "floor", "half_even"

// QSPARSE's quantize(...), as a node or around a weight. Defaults are QSPARSE's.
struct QuantizeSpec {
  std::int64_t bits = 8;         // 2 to 16
  std::int64_t channelwise = 1;  // axis of the tensor (batch included); < 0: per tensor
  std::int64_t decimal_lo = 0, decimal_hi = 20;  // search range, hi exclusive
  double saturate_lo = 0.0, saturate_hi = 1.0;
  std::int64_t timeout = 1000;
  std::int64_t interval = -1;
  std::int64_t window_size = 1;
  std::int64_t bias_bits = -1;  // weights only; < 0: the bias stays float
  Rounding rounding = Rounding::kTowardZero;
  bool operator==(const QuantizeSpec&) const = default;
};

// QSPARSE's prune(...).
struct PruneSpec {
  double sparsity = 0.5;
  std::int64_t start = 1000;
  std::int64_t interval = 1000;
  std::int64_t repetition = 4;
  std::int64_t window_size = 1;
  bool strict = true;
  std::optional<std::int64_t> collapse = {};  // empty: "auto" (0 activations, -1 weights)
  // What goes as one: whole slices along these axes; or blocks of these extents, from axis 0 on.
  // At most one of the two is given; neither: single elements.
  std::optional<std::vector<std::int64_t>> structured_dims = {};
  std::optional<std::vector<std::int64_t>> block = {};
  bool operator==(const PruneSpec&) const = default;
};

using Wrap = std::variant<PruneSpec, QuantizeSpec>;

// One attribute after defaults: integers (scalar, one per spatial axis, or a list), a flag, a
// number, or one of several texts.
using AttributeValue = std::variant<std::vector<std::int64_t>, bool, double, std::string>;

struct Node {
  std::string name;
  std::string op;                   // a key of the schema: "conv2d", "relu", ...
  std::vector<std::string> inputs;  // names of earlier nodes or of graph inputs
  // All attributes of the schema, defaults filled in.
  std::map<std::string, AttributeValue, std::less<>> attributes;
  std::vector<Wrap> wraps;               // inner first; only on operators with a weight
  std::optional<QuantizeSpec> quantize;  // when op == "quantize"
  std::optional<PruneSpec> prune;        // when op == "prune"

  // Attribute access by the names of the schema; a wrong name or kind is our mistake (assert).
  std::int64_t integer(std::string_view attribute) const;
  const std::vector<std::int64_t>& integers(std::string_view attribute) const;
  bool flag(std::string_view attribute) const;
  double number(std::string_view attribute) const;
  const std::string& choice(std::string_view attribute) const;
  const PruneSpec* weight_prune() const;        // nullptr when the weight is not pruned
  const QuantizeSpec* weight_quantize() const;  // nullptr when the weight is not quantized
  bool operator==(const Node&) const = default;
};

// What the bytes of a raw input mean: byte b of channel c (dimension 0) is the number
// (b * scale[c] - mean[c]) / std[c], in the operations of docs/arithmetic.md, "Raw bytes". Each
// member has one entry, or one per channel. Scale and std are positive.
struct RawBytes {
  std::vector<double> scale = {1.0 / 255.0}, mean = {0.0}, std = {1.0};
  bool operator==(const RawBytes&) const = default;
};

// A network input: codes of `bits` bits at `decimal` (per tensor), without the batch dimension.
// With `raw` the network is fed bytes; their numbers, quantized toward zero, are the codes, and the
// name stands for those codes (raw_bytes.h).
struct GraphInput {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t bits = 8;
  std::int64_t decimal = 7;
  std::optional<RawBytes> raw = {};
  bool operator==(const GraphInput&) const = default;
};

struct Graph {
  std::string name;
  std::vector<GraphInput> inputs;
  std::vector<Node> nodes;  // in execution order
  std::vector<std::string> outputs;

  const Node* find_node(std::string_view name) const;         // nullptr when absent
  const GraphInput* find_input(std::string_view name) const;  // nullptr when absent
  bool operator==(const Graph&) const = default;
};

// Reads a graph. InputError names the file and the node for: syntax errors, nesting deeper than 64,
// duplicate JSON keys, unknown fields, operators or attributes, attribute values out of range,
// duplicate node names, an input that no earlier node produces (a cycle is reported as such),
// missing outputs, a wrap on an operator without a weight.
// Whether shapes fit each other is not looked at here: infer_shapes (shapes.h) does that.
Graph read_graph(const std::filesystem::path& path);
Graph parse_graph(std::string_view json, const std::string& name_for_errors);

// The same network as canonical graph.json: parse_graph(to_json(g)) equals g.
std::string to_json(const Graph& graph);

// The state-dict key of an entry, for example key("conv1", "quantize.decimal").
std::string state_key(std::string_view node, std::string_view entry);

}  // namespace lockstep
