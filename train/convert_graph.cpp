#include "train/convert_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "compile/graph/op_schema.h"
#include "compile/support/error.h"
#include "train/readers.h"

namespace lockstep::train {
namespace {

bool is_batch_norm(const Node& node) { return !schema_of(node).normalized_channels.empty(); }

bool is_one_of(const Node& node, std::initializer_list<std::string_view> ops) {
  return std::ranges::count(ops, node.op) > 0;
}

// An activation that leaves the grid of its input; a relu stays on it.
bool is_function(const Node& node) {
  return is_one_of(node, {"relu6", "leaky_relu", "hard_sigmoid", "hard_swish", "tanh", "sigmoid",
                          "silu", "gelu", "elu", "softplus"});
}

// Does the operator compute new values, rather than pick or move those that it gets? A concat
// does: it brings its inputs to one grid.
bool makes_values(const Node& node) {
  return schema_of(node).weight_shape != nullptr || is_batch_norm(node) || is_function(node) ||
         is_one_of(node, {"add", "sub", "mul", "concat", "avg_pool1d", "avg_pool2d",
                          "adaptive_avg_pool1d", "adaptive_avg_pool2d"}) ||
         (node.op == "upsample" && node.choice("mode") == "bilinear");
}

// May the operator stand between the last value and an output, which then stands for that value?
bool only_names(const Node& node) {
  return is_one_of(node, {"softmax", "log_softmax", "argmax", "identity", "dropout"});
}

void require_float(const Graph& graph) {
  for (const Node& node : graph.nodes)
    if (node.quantize || node.prune || !node.wraps.empty())
      throw InputError(fmt::format(
          "layer '{}': it is quantized or pruned already; only a graph without quantize, prune and "
          "wrap can be converted",
          node.name));
}

class Conversion {
 public:
  Conversion(Graph graph, const ConversionPolicy& policy)
      : graph_(std::move(graph)),
        policy_(policy),
        excluded_(policy.exclude.begin(), policy.exclude.end()) {
    for (const std::string& name : excluded_)
      if (graph_.find_node(name) == nullptr)
        throw InputError(
            fmt::format("layer '{}' is to be excluded, but graph '{}' has no such "
                        "node",
                        name, graph_.name));
    for (const GraphInput& input : graph_.inputs) names_.insert(input.name);
    for (const Node& node : graph_.nodes) names_.insert(node.name);
  }

  Graph run() {
    std::vector<Node> old = std::move(graph_.nodes);
    graph_.nodes.clear();
    std::vector<bool> ends(old.size());
    for (std::size_t i = 0; i < old.size(); ++i) ends[i] = ends_here(old, i);
    const std::set<std::string> last_values = values_of_outputs(old);
    for (std::size_t i = 0; i < old.size(); ++i) {
      Node node = std::move(old[i]);
      const std::string name = node.name;
      const bool excluded = excluded_.contains(name);
      if (!excluded && schema_of(node).weight_shape != nullptr) wrap_weight(node);
      graph_.nodes.push_back(std::move(node));
      if (excluded || !ends[i]) continue;
      std::string last = name;
      if (policy_.prune_activations && !last_values.contains(name))
        last = append("prune", name, last);
      if (policy_.quantize_activations) last = append("quantize", name, last);
      for (std::size_t k = i + 1; k < old.size(); ++k)
        std::ranges::replace(old[k].inputs, name, last);
      std::ranges::replace(graph_.outputs, name, last);
    }
    return std::move(graph_);
  }

 private:
  // Outputs, and what softmax, argmax and their like make them of.
  std::set<std::string> values_of_outputs(const std::vector<Node>& nodes) const {
    std::set<std::string> values(graph_.outputs.begin(), graph_.outputs.end());
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node)
      if (values.contains(node->name) && only_names(*node)) values.insert(node->inputs.at(0));
    return values;
  }

  // A value that only its batch norm or its activation reads is not finished yet.
  bool ends_here(const std::vector<Node>& nodes, std::size_t i) const {
    if (nodes[i].op == "relu") {
      const auto source = std::ranges::find(nodes, nodes[i].inputs.at(0), &Node::name);
      return source != nodes.end() && goes_on_in(nodes, *source) == &nodes[i];
    }
    return makes_values(nodes[i]) && goes_on_in(nodes, nodes[i]) == nullptr;
  }

  // The batch norm or activation that goes on with the value of `node`; nullptr when there is none,
  // or when one of the two is excluded.
  const Node* goes_on_in(const std::vector<Node>& nodes, const Node& node) const {
    if (!makes_values(node) || excluded_.contains(node.name)) return nullptr;
    const Node* const reader = only_reader(nodes, graph_.outputs, node.name);
    if (reader == nullptr) return nullptr;
    if (is_batch_norm(*reader)) return reader;
    const bool is_activation = reader->op == "relu" || is_function(*reader);
    return is_activation && !excluded_.contains(reader->name) ? reader : nullptr;
  }

  void wrap_weight(Node& node) const {
    if (policy_.prune_weights) node.wraps.emplace_back(*policy_.prune_weights);
    if (!policy_.quantize_weights) return;
    QuantizeSpec spec = *policy_.quantize_weights;
    if (!node.flag("bias")) spec.bias_bits = -1;
    // Per output channel: the second axis of a transposed convolution's weight.
    const bool transposed = node.op.starts_with("conv_transpose");
    if (transposed && spec.channelwise == 0) spec.channelwise = 1;
    node.wraps.emplace_back(spec);
  }

  // A node "`owner`_`op`" that reads `input`; returns its name.
  std::string append(const std::string& op, const std::string& owner, const std::string& input) {
    Node node;
    node.name = fmt::format("{}_{}", owner, op);
    node.op = op;
    node.inputs = {input};
    if (op == "prune")
      node.prune = policy_.prune_activations;
    else
      node.quantize = policy_.quantize_activations;
    if (!names_.insert(node.name).second)
      throw InputError(
          fmt::format("layer '{}': the name '{}', which its {} node would get, is "
                      "taken; rename that node",
                      owner, node.name, op));
    graph_.nodes.push_back(std::move(node));
    return graph_.nodes.back().name;
  }

  Graph graph_;
  const ConversionPolicy& policy_;
  std::set<std::string> excluded_, names_;
};

}  // namespace

Graph convert_graph(Graph graph, const ConversionPolicy& policy) {
  require_float(graph);
  return Conversion(std::move(graph), policy).run();
}

}  // namespace lockstep::train
