// The graph front end: which LibTorch module a node runs as. A weight is wrapped as a C++ program
// would wrap it, with prune(...) and quantize(...), so both ways make the same modules.
#pragma once

#include <torch/nn/module.h>

#include <functional>
#include <memory>
#include <span>

#include "compile/graph/graph.h"

namespace lockstep::train {

struct NodeOperator {
  std::shared_ptr<torch::nn::Module> module;  // null when the operator has no state and no mode
  // One float32 tensor per input of the node, batch first.
  std::function<torch::Tensor(std::span<const torch::Tensor> inputs)> run;
};

// Weights are drawn from LibTorch's default generator, as PyTorch initialises them. InputError
// names the node when training does not know its operator, or an option does not suit its weight.
NodeOperator make_operator(const Node& node);

}  // namespace lockstep::train
