// A graph as a LibTorch module: its nodes run in the order of the graph, and its state has
// QSPARSE's keys in QSPARSE's order.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "compile/graph/graph.h"
#include "train/layers.h"

namespace lockstep::train {

class Network : public torch::nn::Module {
 public:
  // Weights are drawn from LibTorch's generator, seeded with `seed`. InputError names a node that
  // training does not know, that does not fit into memory, or whose state keys another node has.
  Network(Graph graph, std::uint64_t seed);

  // One tensor per graph output. `inputs`: one float32 tensor per graph input, batch first.
  // `observe` (may be empty) sees each node's value.
  using Observer = std::function<void(const Node& node, const torch::Tensor& value)>;
  std::vector<torch::Tensor> forward(const std::vector<torch::Tensor>& inputs,
                                     const Observer& observe = {});

  // (key, tensor) of every state-dict entry, in order. The tensors share memory with the network.
  std::vector<std::pair<std::string, torch::Tensor>> state() const;
  // The trained parameters (weights and biases) with their keys.
  std::vector<std::pair<std::string, torch::Tensor>> trainable() const;

  std::vector<PruneLayer*> prune_layers() const;
  std::vector<QuantizeLayer*> quantize_layers() const;

  const Graph& graph() const { return graph_; }
  LayerContext& context() { return *context_; }

 private:
  using Layer = std::variant<PlainOp, std::shared_ptr<WeightedLayer>,
                             std::shared_ptr<QuantizeLayer>, std::shared_ptr<PruneLayer>>;
  struct Step {
    Layer run;
    std::vector<std::string> finished_inputs;  // values that no later node reads
  };

  Layer make_layer(std::size_t i);  // of node i
  void require_distinct_keys() const;

  Graph graph_;
  std::unique_ptr<LayerContext> context_;
  std::vector<Step> steps_;  // one per node
};

}  // namespace lockstep::train
