#include "train/network.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <map>

#include "compile/graph/shapes.h"
#include "compile/support/error.h"
#include "train/class_scores.h"
#include "train/linear_quantize.h"
#include "train/sparse_log.h"

namespace lockstep::train {
namespace {

// LibTorch's own messages may have many lines.
InputError explained(const Node& node, const c10::Error& error) {
  const std::string text = error.what_without_backtrace();
  return InputError(fmt::format("layer '{}': {}", node.name, text.substr(0, text.find('\n'))));
}

template <typename M>
std::vector<M*> layers_of(const torch::nn::Module& root) {
  std::vector<M*> found;
  for (const std::shared_ptr<torch::nn::Module>& module : root.modules(false))
    if (auto* const layer = module->as<M>()) found.push_back(layer);
  return found;
}

}  // namespace

Network::Network(Graph graph, std::uint64_t seed)
    : graph_(std::move(graph)), class_scores_name_(train::class_scores_name(graph_)) {
  infer_shapes(graph_, fmt::format("graph '{}'", graph_.name));
  torch::manual_seed(seed);
  const LogCapture capture([&](LogKind kind, const std::string& line) {
    if (kind != LogKind::kCreated) events_.push_back(line);
  });
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
    const Node& node = graph_.nodes[i];
    Step step;
    try {
      step.op = make_operator(node);
    } catch (const c10::Error& error) {  // a weight that is larger than the memory
      throw explained(node, error);
    }
    // Registered by number: a node's name may hold characters that LibTorch does not allow.
    if (step.op.module) register_module(std::to_string(i), step.op.module);
    for (const std::string& input : node.inputs)
      if (last_reader(input) == i) step.finished_inputs.push_back(input);
    steps_.push_back(std::move(step));
  }
  require_distinct_keys();
  fuse_nodes();
}

std::size_t Network::last_reader(const std::string& value) const {
  if (value == class_scores_name_ || std::ranges::count(graph_.outputs, value) > 0)
    return graph_.nodes.size();
  std::size_t last = 0;
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i)
    if (std::ranges::count(graph_.nodes[i].inputs, value) > 0) last = i;
  return last;
}

// A node named 'conv.quantize' would share keys with the quantizer that wraps the weight of 'conv'.
void Network::require_distinct_keys() const {
  std::map<std::string, std::string> owners;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    if (!steps_[i].op.module) continue;
    const std::string& name = graph_.nodes[i].name;
    for (const StateEntry& entry : state_entries(*steps_[i].op.module, name)) {
      const auto [owner, is_new] = owners.try_emplace(entry.key, name);
      if (!is_new)
        throw InputError(fmt::format("layer '{}': its state entry '{}' is also one of layer '{}'",
                                     name, owner->first, owner->second));
    }
  }
}

void Network::fuse_nodes() {
  // Is node i + 1 the only reader of node i?
  const auto flows_on = [&](std::size_t i) {
    if (i + 1 >= steps_.size()) return false;
    const std::string& value = graph_.nodes[i].name;
    const std::vector<std::string>& next = graph_.nodes[i + 1].inputs;
    return next.size() == 1 && next[0] == value && last_reader(value) == i + 1;
  };
  const auto op_of = [&](std::size_t i) { return std::string_view(graph_.nodes[i].op); };
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    if (op_of(i) != "quantize") continue;
    Fused fused = {i, i + 1, nullptr, steps_[i].op.module->as<QuantizeImpl>(), Relu::kNone};
    const auto takes_before = [&](std::string_view op) {
      return fused.begin > 0 && op_of(fused.begin - 1) == op && flows_on(fused.begin - 1);
    };
    if (takes_before("prune")) fused.prune = steps_[--fused.begin].op.module->as<PruneImpl>();
    const bool relu_is_taken = !fused_.empty() && fused_.back().end >= fused.begin;
    if (!relu_is_taken && takes_before("relu")) {
      --fused.begin;
      fused.relu = Relu::kBefore;
    } else if (flows_on(i) && op_of(i + 1) == "relu") {
      ++fused.end;
      fused.relu = Relu::kAfter;
    }
    if (fused.end - fused.begin > 1) fused_.push_back(fused);
  }
}

const Network::Fused* Network::fused_from(std::size_t node) const {
  const auto found = std::ranges::find(fused_, node, &Fused::begin);
  return found == fused_.end() ? nullptr : &*found;
}

torch::Tensor Network::Fused::run(const torch::Tensor& input) const {
  torch::Tensor x = input;
  AroundQuantize around = {.relu = relu};
  if (prune != nullptr) {
    if (relu == Relu::kBefore && prune->looks_at_data()) x = x.relu(), around.relu = Relu::kNone;
    around.mask = prune->step(x);
  }
  return quantize->forward_around(x, std::move(around));
}

void Network::move_to(torch::Device device) {
  to(device);
  device_ = device;
}

std::vector<torch::Tensor> Network::forward(const std::vector<torch::Tensor>& inputs,
                                            const Observer& observe) {
  return run(inputs, graph_.outputs, observe);
}

torch::Tensor Network::class_scores(const std::vector<torch::Tensor>& inputs) {
  return run(inputs, {class_scores_name_}, {}).at(0);
}

std::vector<torch::Tensor> Network::run(const std::vector<torch::Tensor>& inputs,
                                        const std::vector<std::string>& wanted,
                                        const Observer& observe) {
  LOCKSTEP_ASSERT(inputs.size() == graph_.inputs.size());
  const LogCapture capture([&](LogKind, const std::string& line) { events_.push_back(line); });
  std::map<std::string, torch::Tensor, std::less<>> values;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    values[graph_.inputs[i].name] = inputs[i].to(device_);
  for (std::size_t i = 0, next; i < steps_.size(); i = next) {
    const Node& node = graph_.nodes[i];
    const Fused* const fused = observe ? nullptr : fused_from(i);
    next = fused != nullptr ? fused->end : i + 1;
    std::vector<torch::Tensor> operands;
    for (const std::string& input : node.inputs) operands.push_back(values.at(input));
    for (const std::string& input : steps_[i].finished_inputs) values.erase(input);
    torch::Tensor y;
    try {
      y = fused != nullptr ? fused->run(operands[0]) : steps_[i].op.run(operands);
    } catch (const c10::Error& error) {  // a shape that the operator does not take
      throw explained(node, error);
    }
    if (observe) observe(node, y);
    values[graph_.nodes[next - 1].name] = std::move(y);
  }
  std::vector<torch::Tensor> outputs;
  for (const std::string& name : wanted) outputs.push_back(values.at(name));
  return outputs;
}

std::vector<StateEntry> Network::state() const {
  std::vector<StateEntry> all;
  for (std::size_t i = 0; i < steps_.size(); ++i)
    if (steps_[i].op.module)
      for (StateEntry& entry : state_entries(*steps_[i].op.module, graph_.nodes[i].name))
        all.push_back(std::move(entry));
  return all;
}

std::vector<std::pair<std::string, torch::Tensor>> Network::trainable() const {
  std::vector<std::pair<std::string, torch::Tensor>> found;
  for (const StateEntry& entry : state())
    if (entry.tensor.requires_grad()) found.emplace_back(entry.key, entry.tensor);
  return found;
}

std::vector<PruneImpl*> Network::prune_layers() const { return layers_of<PruneImpl>(*this); }

std::vector<QuantizeImpl*> Network::quantize_layers() const {
  return layers_of<QuantizeImpl>(*this);
}

SparseModule* Network::wrapped_layer(std::string_view node) const {
  for (std::size_t i = 0; i < steps_.size(); ++i)
    if (graph_.nodes[i].name == node && steps_[i].op.module)
      return steps_[i].op.module->as<SparseModule>();
  return nullptr;
}

}  // namespace lockstep::train
