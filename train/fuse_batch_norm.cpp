#include "train/fuse_batch_norm.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <string_view>

#include "compile/graph/op_schema.h"
#include "compile/graph/shapes.h"
#include "compile/support/error.h"
#include "train/readers.h"

namespace lockstep::train {
namespace {

Tensor float_tensor(std::vector<std::int64_t> shape, const std::vector<float>& values) {
  Tensor tensor;
  tensor.shape = std::move(shape);
  tensor.bytes.resize(values.size() * sizeof(float));
  std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  return tensor;
}

// One layer, the batch norm behind it, and their entries in the state.
class Fold {
 public:
  // `changed`: entries that earlier folds have made anew.
  Fold(const StateDict& state, std::map<std::string, Tensor>& changed, const Node& layer,
       const Node& norm)
      : state_(state), changed_(changed), layer_(layer), norm_(norm) {}

  void compute() {
    require_float_layer();
    const OpSchema& schema = schema_of(layer_);
    const std::int64_t channels = layer_.integer(schema.bias_length);
    const std::vector<float> gamma = floats(norm_, "weight", {channels}),
                             beta = floats(norm_, "bias", {channels}),
                             mean = floats(norm_, "running_mean", {channels}),
                             variance = floats(norm_, "running_var", {channels});
    const std::vector<std::int64_t> shape = schema.weight_shape(layer_);
    std::vector<float> weight = floats(layer_, "weight", shape);
    std::vector<float> bias(static_cast<std::size_t>(channels));
    if (layer_.flag("bias")) bias = floats(layer_, "bias", {channels});

    std::vector<double> scale;
    for (std::size_t c = 0; c < bias.size(); ++c) {
      const double spread = double{variance[c]} + norm_.number("eps");
      if (!(spread > 0))
        throw InputError(fmt::format("layer '{}': channel {} has variance {} and eps {}",
                                     norm_.name, c, variance[c], norm_.number("eps")));
      scale.push_back(gamma[c] / std::sqrt(spread));
      bias[c] = static_cast<float>((double{bias[c]} - mean[c]) * scale[c] + beta[c]);
    }
    for (std::size_t i = 0; i < weight.size(); ++i)
      weight[i] =
          static_cast<float>(weight[i] * scale[channel_of(static_cast<std::int64_t>(i), shape)]);
    changed_[state_key(layer_.name, "weight")] = float_tensor(shape, weight);
    changed_[state_key(layer_.name, "bias")] = float_tensor({channels}, bias);
  }

 private:
  // The output channel of element i of the weight: axis 0, or for a transposed convolution
  // [C, O / groups, ...] the group of the input channel and axis 1.
  std::size_t channel_of(std::int64_t i, const std::vector<std::int64_t>& shape) const {
    std::int64_t inner = 1;
    for (std::size_t d = 2; d < shape.size(); ++d) inner *= shape[d];
    if (!layer_.op.starts_with("conv_transpose"))
      return static_cast<std::size_t>(i / (inner * shape[1]));
    const std::int64_t input = i / (inner * shape[1]), output = i / inner % shape[1];
    const std::int64_t group = input / (shape[0] / layer_.integer("groups"));
    return static_cast<std::size_t>(group * shape[1] + output);
  }

  std::vector<float> floats(const Node& node, std::string_view entry,
                            const std::vector<std::int64_t>& shape) const {
    const std::string key = state_key(node.name, entry);
    const auto anew = changed_.find(key);
    const Tensor& tensor = anew == changed_.end() ? state_.at(key) : anew->second;
    if (tensor.shape != shape)
      throw InputError(fmt::format("layer '{}': '{}' has shape [{}], but it must be [{}]",
                                   node.name, key, fmt::join(tensor.shape, ", "),
                                   fmt::join(shape, ", ")));
    return tensor.floats(key);
  }

  void require_float_layer() const {
    for (const std::string_view wrap : {"prune", "quantize", "quantize_bias"}) {
      const std::string key = state_key(layer_.name, fmt::format("{}._n_updates", wrap));
      const Tensor* const counter = state_.find(key);
      if (counter != nullptr && counter->int32s(key) != std::vector<std::int32_t>{-1})
        throw InputError(
            fmt::format("layer '{}': '{}' shows that its weight was pruned or quantized in "
                        "training; fold batch norms before that",
                        layer_.name, key));
    }
  }

  const StateDict& state_;
  std::map<std::string, Tensor>& changed_;
  const Node &layer_, &norm_;
};

// The layer that `norm` can be folded into; nullptr when there is none.
Node* foldable_layer(Graph& graph, const Shapes& shapes, const Node& norm) {
  const auto layer = std::ranges::find(graph.nodes, norm.inputs.at(0), &Node::name);
  if (layer == graph.nodes.end() || schema_of(*layer).weight_shape == nullptr) return nullptr;
  if (only_reader(graph.nodes, graph.outputs, layer->name) != &norm) return nullptr;
  // A linear layer on several rows has its channels on another axis than the batch norm.
  if (layer->op == "linear" && shapes.at(layer->name).size() != 1) return nullptr;
  return &*layer;
}

// `state` with the changed entries in place, a new bias behind its weight, and no entries of the
// folded nodes.
StateDict rebuilt(const StateDict& state, const std::map<std::string, Tensor>& changed,
                  const std::vector<std::string>& folded) {
  std::set<std::string> gone;
  for (const std::string& name : folded)
    for (const std::string_view entry :
         {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"})
      gone.insert(state_key(name, entry));
  StateDict result;
  for (const auto& [key, tensor] : state.entries()) {
    if (gone.contains(key)) continue;
    const auto found = changed.find(key);
    result.add(key, found == changed.end() ? tensor : found->second);
    if (found == changed.end() || !key.ends_with(".weight")) continue;
    const std::string bias = key.substr(0, key.size() - 6) + "bias";
    if (state.find(bias) == nullptr) result.add(bias, changed.at(bias));
  }
  return result;
}

}  // namespace

FusedNetwork fuse_batch_norm(Graph graph, const StateDict& state) {
  const Shapes shapes = infer_shapes(graph, fmt::format("graph '{}'", graph.name));
  FusedNetwork result;
  std::map<std::string, Tensor> changed;
  for (std::size_t i = 0; i < graph.nodes.size();) {
    const Node norm = graph.nodes[i];
    Node* const layer = schema_of(norm).normalized_channels.empty()
                            ? nullptr
                            : foldable_layer(graph, shapes, graph.nodes[i]);
    if (layer == nullptr) {
      ++i;
      continue;
    }
    Fold(state, changed, *layer, norm).compute();
    layer->attributes["bias"] = true;
    const std::string name = layer->name;
    graph.nodes.erase(graph.nodes.begin() + static_cast<std::ptrdiff_t>(i));
    for (Node& node : graph.nodes) std::ranges::replace(node.inputs, norm.name, name);
    std::ranges::replace(graph.outputs, norm.name, name);
    result.folded.push_back(norm.name);
  }
  result.state = rebuilt(state, changed, result.folded);
  result.graph = std::move(graph);
  return result;
}

}  // namespace lockstep::train
