// What a graph node runs as: an operator with a weight applies its wraps to the weight, in order,
// each time it runs ([prune, quantize] is QSPARSE's quantize(prune(layer))); all others are one
// function.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "compile/graph/graph.h"
#include "train/pruner.h"
#include "train/quantizer.h"

namespace lockstep::train {

// conv2d or linear. Parameters in QSPARSE's order: weight, bias, then the wraps' entries;
// initialised as PyTorch does (uniform, bound 1 / sqrt(fan-in)) from LibTorch's default generator.
class WeightedLayer : public torch::nn::Module {
 public:
  WeightedLayer(const Node& node, LayerContext* context);
  torch::Tensor forward(const torch::Tensor& x);

  // What the operator computes with: the wraps applied to the stored weight; the bias after its
  // quantizer (undefined without a bias). Reading counts as a step, as it does in QSPARSE.
  torch::Tensor effective_weight();
  torch::Tensor effective_bias();

  // The layers inside, in state-dict order.
  std::vector<PruneLayer*> prune_layers();
  std::vector<QuantizeLayer*> quantize_layers();

  torch::Tensor weight, bias;  // full precision; `bias` undefined without one

 private:
  Node node_;
  std::vector<std::variant<std::shared_ptr<PruneLayer>, std::shared_ptr<QuantizeLayer>>> wraps_;
  std::shared_ptr<QuantizeLayer> bias_quantizer_;
};

// An operator without parameters: relu, max_pool2d, flatten, dropout, identity.
using PlainOp = torch::Tensor (*)(const Node& node, const torch::Tensor& x, bool training);
PlainOp find_plain_op(std::string_view op);  // nullptr when there is none

}  // namespace lockstep::train
