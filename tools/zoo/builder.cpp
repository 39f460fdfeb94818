#include "tools/zoo/builder.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

#include "compile/graph/shapes.h"
#include "compile/support/error.h"

namespace lockstep::zoo {
namespace {

constexpr std::int64_t kLargeInput = 50000;  // elements from which on few samples must do

std::int64_t element_count(const std::vector<std::int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

}  // namespace

Builder::Builder(std::string name, std::vector<std::int64_t> input_shape,
                 const NetworkOptions& options, std::int64_t input_decimal)
    : options_(options), window_size_(element_count(input_shape) < kLargeInput ? 64 : 8) {
  graph_.name = std::move(name);
  graph_.inputs = {
      {.name = "input", .shape = std::move(input_shape), .bits = 8, .decimal = input_decimal}};
}

Value Builder::input() const { return {graph_.inputs[0].name, graph_.inputs[0].shape}; }

// The node becomes a graph of its own, whose inputs are what it reads: so the parser fills in the
// defaults of its attributes.
Value Builder::append(std::string_view op, const std::string& name,
                      const std::vector<Value>& inputs, const Attributes& attributes,
                      const Attributes& wraps) {
  Attributes graph = {{"format", "lockstep-graph"}, {"version", 1}, {"name", graph_.name}};
  Attributes node = {{"name", name}, {"op", op}, {"attrs", attributes}};
  for (const Value& input : inputs) {
    graph["inputs"].push_back({{"name", input.name}, {"shape", input.shape}});
    node["inputs"].push_back(input.name);
  }
  if (!wraps.empty()) node["wrap"] = wraps;
  graph["nodes"].push_back(std::move(node));
  graph["outputs"] = {name};
  const Graph parsed = parse_graph(graph.dump(), graph_.name);
  graph_.nodes.push_back(parsed.nodes.at(0));
  return {name, infer_shapes(parsed, graph_.name).at(name)};
}

Value Builder::add(std::string_view op, const std::string& name, const std::vector<Value>& inputs,
                   const Attributes& attributes) {
  return append(op, name, inputs, attributes, Attributes::array());
}

Value Builder::weighted(std::string_view op, const std::string& name, const Value& input,
                        Attributes attributes, const WeightOptions& options) {
  const bool is_linear = op == "linear", transposed = op.starts_with("conv_transpose");
  attributes[is_linear ? "in_features" : "in_channels"] = input.shape.at(0);
  Attributes wraps = Attributes::array();
  // The weight's axes, (out, in, ...) or (in, out, ...).
  const std::int64_t output_axis = transposed ? 1 : 0;
  if (options_.quantize && options_.sparsity > 0 && options.prune) {
    Attributes fields = prune_fields(options.is_output ? 1 - output_axis : output_axis);
    fields["type"] = "prune";
    wraps.push_back(std::move(fields));
  }
  if (options_.quantize) {
    Attributes fields = quantize_fields(output_axis, kWeightTimeout);
    fields["type"] = "quantize";
    if (attributes.value("bias", true) && options.bias_bits > 0) {
      fields["bias_bits"] = options.bias_bits;
      // Biases on a finer grid than the products would widen all weights.
      fields["decimal_range"] = {0, options_.bits + 4};
    }
    wraps.push_back(std::move(fields));
  }
  return append(op, name, {input}, attributes, wraps);
}

Value Builder::batch_norm(const std::string& name, const Value& input) {
  return add(input.shape.size() == 3 ? "batch_norm2d" : "batch_norm1d", name, {input},
             {{"num_features", input.shape.at(0)}});
}

Value Builder::classifier(const std::string& name, const Value& input, std::int64_t classes) {
  return quantize(
      weighted("linear", name, input, {{"out_features", classes}}, {.is_output = true}));
}

Attributes Builder::quantize_fields(std::int64_t channelwise, std::int64_t timeout) const {
  return {{"bits", options_.bits},
          {"channelwise", options_.per_channel ? channelwise : -1},
          {"timeout", timeout}};
}

Attributes Builder::prune_fields(std::int64_t structured_axis) const {
  Attributes fields = {{"sparsity", options_.sparsity},
                       {"start", kPruneStart},
                       {"interval", kPruneInterval},
                       {"repetition", kPruneRepetition}};
  if (options_.structured)
    fields["callback"] = {{"structured", Attributes::array({structured_axis})}};
  return fields;
}

Value Builder::prune(const Value& value) {
  if (!options_.quantize || options_.sparsity == 0) return value;
  Attributes fields = prune_fields(0);
  fields["window_size"] = window_size_;
  return add("prune", value.name + "_prune", {value}, fields);
}

Value Builder::quantize(const Value& value, const std::string& owner) {
  if (!options_.quantize) return value;
  Attributes fields = quantize_fields(1, kActivationTimeout);
  fields["window_size"] = window_size_;
  return add("quantize", owner + "_quantize", {value}, fields);
}

Graph Builder::finish(const Value& output) {
  graph_.outputs = {output.name};
  return std::move(graph_);
}

}  // namespace lockstep::zoo
