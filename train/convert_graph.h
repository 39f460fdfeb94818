// From a float graph to one that trains with quantization and pruning: wraps around every weight,
// quantize and prune nodes behind every operator that makes new values, by a policy.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "compile/graph/graph.h"

namespace lockstep::train {

// What to insert; what is empty is not inserted. By default everything is quantized and nothing
// pruned: weights and biases per output channel, activations with one decimal for all.
struct ConversionPolicy {
  std::optional<PruneSpec> prune_weights = {}, prune_activations = {};
  std::optional<QuantizeSpec> quantize_weights =
      QuantizeSpec{.channelwise = 0, .window_size = 1, .bias_bits = 16};
  std::optional<QuantizeSpec> quantize_activations =
      QuantizeSpec{.channelwise = -1, .timeout = 1100, .window_size = 64};
  std::vector<std::string> exclude = {};  // nodes to leave as they are
};

// JSON: {"format": "lockstep-policy", "version": 1, "weights": {"prune": {...}, "quantize": {...}},
// "activations": {...}, "exclude": [names]}. Fields as in graph.json; a part that is left out keeps
// the default, null switches it off. InputError as for a graph.
ConversionPolicy read_policy(const std::filesystem::path& path);
ConversionPolicy parse_policy(std::string_view json, const std::string& name_for_errors);

// Weights are pruned first and quantized then. Behind each operator that computes new values (a
// convolution, linear layer, sum, difference, product, concat, average pooling, bilinear upsampling
// or activation function), and behind its batch norm and its activation where those are its only
// readers, come a prune node and a quantize node, named NAME_prune and NAME_quantize after the node
// that they follow; readers and outputs are moved to the last. No prune node comes where the value
// is an output, or becomes one by a softmax, log_softmax or argmax. Behind a relu, because what the
// relu sets to 0 is what pruning should take first. InputError names a node that is quantized or
// pruned already, an excluded one that does not exist, and a name that is taken.
Graph convert_graph(Graph graph, const ConversionPolicy& policy);

}  // namespace lockstep::train
