#include "train/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "compile/support/error.h"

namespace lockstep::train {
namespace {

// The node after which `value` is not read any more; the number of nodes for an output.
std::size_t last_reader(const Graph& graph, const std::string& value) {
  if (std::ranges::count(graph.outputs, value) > 0) return graph.nodes.size();
  std::size_t last = 0;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i)
    if (std::ranges::count(graph.nodes[i].inputs, value) > 0) last = i;
  return last;
}

}  // namespace

Network::Network(Graph graph, std::uint64_t seed)
    : graph_(std::move(graph)), context_(std::make_unique<LayerContext>()) {
  torch::manual_seed(seed);
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
    const Node& node = graph_.nodes[i];
    Step step;
    try {
      step.run = make_layer(i);
    } catch (const c10::Error& error) {  // a weight that is larger than the memory
      throw InputError(fmt::format("layer '{}': {}", node.name, error.what_without_backtrace()));
    }
    for (const std::string& input : node.inputs)
      if (last_reader(graph_, input) == i) step.finished_inputs.push_back(input);
    steps_.push_back(std::move(step));
  }
  require_distinct_keys();
}

Network::Layer Network::make_layer(std::size_t i) {
  const Node& node = graph_.nodes[i];
  // Registered by number: a node's name may hold characters that LibTorch does not allow.
  const std::string id = std::to_string(i);
  if (node.quantize)
    return register_module(id, std::make_shared<QuantizeLayer>(node.name, *node.quantize,
                                                               Role::kActivation, context_.get()));
  if (node.prune)
    return register_module(id, std::make_shared<PruneLayer>(node.name, *node.prune,
                                                            Role::kActivation, context_.get()));
  if (node.op == "conv2d" || node.op == "linear")
    return register_module(id, std::make_shared<WeightedLayer>(node, context_.get()));
  if (const PlainOp plain = find_plain_op(node.op)) return plain;
  throw InputError(
      fmt::format("layer '{}': training does not know the operator '{}'", node.name, node.op));
}

// A node named 'conv.quantize' would share keys with the quantizer that wraps the weight of 'conv'.
void Network::require_distinct_keys() const {
  std::map<std::string, std::string> owners;
  for (const auto& child : named_children()) {
    const std::string& name = graph_.nodes[std::stoul(child.key())].name;
    for (const auto& parameter : child.value()->named_parameters()) {
      const auto [owner, is_new] = owners.try_emplace(state_key(name, parameter.key()), name);
      if (!is_new)
        throw InputError(fmt::format("layer '{}': its state entry '{}' is also one of layer '{}'",
                                     name, owner->first, owner->second));
    }
  }
}

std::vector<torch::Tensor> Network::forward(const std::vector<torch::Tensor>& inputs,
                                            const Observer& observe) {
  LOCKSTEP_ASSERT(inputs.size() == graph_.inputs.size());
  std::map<std::string, torch::Tensor, std::less<>> values;
  for (std::size_t i = 0; i < inputs.size(); ++i) values[graph_.inputs[i].name] = inputs[i];
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const Node& node = graph_.nodes[i];
    const torch::Tensor x = values.at(node.inputs.at(0));
    for (const std::string& input : steps_[i].finished_inputs) values.erase(input);
    torch::Tensor y;
    try {
      if (const PlainOp* const plain = std::get_if<PlainOp>(&steps_[i].run)) {
        y = (*plain)(node, x, is_training());
      } else if (const auto* const weighted =
                     std::get_if<std::shared_ptr<WeightedLayer>>(&steps_[i].run)) {
        y = (*weighted)->forward(x);
      } else if (const auto* const quantizer =
                     std::get_if<std::shared_ptr<QuantizeLayer>>(&steps_[i].run)) {
        y = (*quantizer)->forward(x);
      } else {
        y = std::get<std::shared_ptr<PruneLayer>>(steps_[i].run)->forward(x);
      }
    } catch (const c10::Error& error) {  // a shape that the operator does not take
      throw InputError(fmt::format("layer '{}': {}", node.name, error.what_without_backtrace()));
    }
    if (observe) observe(node, y);
    values[node.name] = std::move(y);
  }
  std::vector<torch::Tensor> outputs;
  for (const std::string& name : graph_.outputs) outputs.push_back(values.at(name));
  return outputs;
}

std::vector<std::pair<std::string, torch::Tensor>> Network::state() const {
  std::vector<std::pair<std::string, torch::Tensor>> entries;
  for (const auto& child : named_children()) {
    const std::string& name = graph_.nodes[std::stoul(child.key())].name;
    for (const auto& parameter : child.value()->named_parameters())
      entries.emplace_back(state_key(name, parameter.key()), parameter.value());
  }
  return entries;
}

std::vector<std::pair<std::string, torch::Tensor>> Network::trainable() const {
  std::vector<std::pair<std::string, torch::Tensor>> entries = state();
  std::erase_if(entries, [](const auto& entry) { return !entry.second.requires_grad(); });
  return entries;
}

std::vector<PruneLayer*> Network::prune_layers() const {
  std::vector<PruneLayer*> found;
  for (const Step& step : steps_) {
    if (const auto* const layer = std::get_if<std::shared_ptr<PruneLayer>>(&step.run))
      found.push_back(layer->get());
    if (const auto* const layer = std::get_if<std::shared_ptr<WeightedLayer>>(&step.run))
      for (PruneLayer* const inner : (*layer)->prune_layers()) found.push_back(inner);
  }
  return found;
}

std::vector<QuantizeLayer*> Network::quantize_layers() const {
  std::vector<QuantizeLayer*> found;
  for (const Step& step : steps_) {
    if (const auto* const layer = std::get_if<std::shared_ptr<QuantizeLayer>>(&step.run))
      found.push_back(layer->get());
    if (const auto* const layer = std::get_if<std::shared_ptr<WeightedLayer>>(&step.run))
      for (QuantizeLayer* const inner : (*layer)->quantize_layers()) found.push_back(inner);
  }
  return found;
}

}  // namespace lockstep::train
