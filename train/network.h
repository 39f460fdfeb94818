// A graph as a LibTorch module: its nodes run in the order of the graph, and its state has
// QSPARSE's keys in QSPARSE's order.
#pragma once

#include <torch/nn/module.h>

#include <functional>
#include <string>
#include <vector>

#include "compile/graph/graph.h"
#include "train/fake_quantize.h"
#include "train/module_state.h"
#include "train/operators.h"
#include "train/sparse_module.h"

namespace lockstep::train {

class Network : public torch::nn::Module {
 public:
  // Weights are drawn from LibTorch's generator, seeded with `seed`. InputError names a node that
  // training does not know, whose input does not have a shape that it takes, that does not fit into
  // memory, or whose state keys another node has.
  Network(Graph graph, std::uint64_t seed);

  // Everything the network holds moves to `device`, and its forwards run there.
  void move_to(torch::Device device);
  torch::Device device() const { return device_; }

  // One tensor per graph output, on the network's device. `inputs`: one float32 tensor per graph
  // input, batch first, on any device.
  // `observe` (may be empty) sees each node's value. Without it, a prune, a quantize and a relu
  // node that follow each other run as one.
  using Observer = std::function<void(const Node& node, const torch::Tensor& value)>;
  std::vector<torch::Tensor> forward(const std::vector<torch::Tensor>& inputs,
                                     const Observer& observe = {});
  // The value that the loss and the accuracy look at (class_scores.h), as forward computes it.
  torch::Tensor class_scores(const std::vector<torch::Tensor>& inputs);
  const std::string& class_scores_name() const { return class_scores_name_; }

  // Every state-dict entry, in order. The tensors share memory with the network.
  std::vector<StateEntry> state() const;
  // The trained parameters (weights and biases) with their keys.
  std::vector<std::pair<std::string, torch::Tensor>> trainable() const;

  // In the order of the state dict.
  std::vector<PruneImpl*> prune_layers() const;
  std::vector<QuantizeImpl*> quantize_layers() const;
  // The layer whose weight is wrapped; nullptr when the node is no such layer.
  SparseModule* wrapped_layer(std::string_view node) const;

  const Graph& graph() const { return graph_; }
  // QSPARSE's log lines and warnings since the caller last emptied the list. The layers of a graph
  // do not announce their creation: the graph lists them.
  std::vector<std::string>& events() { return events_; }

 private:
  struct Step {
    NodeOperator op;
    std::vector<std::string> finished_inputs;  // values that no later node reads
  };
  // Nodes [begin, end) as one: each is read by the next one only. Computes the last one's value.
  struct Fused {
    std::size_t begin, end;
    PruneImpl* prune;  // may be null
    QuantizeImpl* quantize;
    Relu relu;
    torch::Tensor run(const torch::Tensor& input) const;
  };

  // `wanted`: outputs and the class scores.
  std::vector<torch::Tensor> run(const std::vector<torch::Tensor>& inputs,
                                 const std::vector<std::string>& wanted, const Observer& observe);
  // The node after which `value` is not read any more; the number of nodes when a caller may want
  // it.
  std::size_t last_reader(const std::string& value) const;
  void require_distinct_keys() const;
  void fuse_nodes();
  const Fused* fused_from(std::size_t node) const;  // nullptr: none begins there

  Graph graph_;
  std::string class_scores_name_;
  torch::Device device_ = torch::kCPU;
  std::vector<Step> steps_;  // one per node
  std::vector<Fused> fused_;
  std::vector<std::string> events_;
};

}  // namespace lockstep::train
