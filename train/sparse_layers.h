// Quantization and pruning for LibTorch networks, as QSPARSE has them in Python:
//
//   torch::nn::Sequential net(
//       quantize(prune(torch::nn::Conv2d(1, 32, 3), PruneOptions().sparsity(0.5).start(200)),
//                QuantizeOptions().bits(8).channelwise(0).timeout(100)),
//       prune(PruneOptions().sparsity(0.5).start(200)),
//       quantize(QuantizeOptions().bits(8).timeout(100)));
//   auto_name_prune_quantize_layers(*net);
//
// A forward in training is a step of every schedule. docs/guide/training.md is the guide,
// docs/qsparse-compatibility.md says how this relates to Python.
#pragma once

#include "train/freeze_guard.h"
#include "train/module_state.h"
#include "train/prune_layer.h"
#include "train/quantize_layer.h"
#include "train/sparse_log.h"
#include "train/sparse_module.h"
#include "train/sparse_options.h"

namespace lockstep::train {

// Layers for activations.
inline Quantize quantize(QuantizeOptions options = {}) { return Quantize(std::move(options)); }
inline Prune prune(PruneOptions options = {}) { return Prune(std::move(options)); }

// Around the weight of a module: Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, Linear, or any
// other with members `weight` and `bias`. `layer` keeps its parameters and is not to be run by
// itself any more. The inner call is applied first: quantize(prune(layer)) prunes, then quantizes.
template <typename M>
Sparse<M> quantize(Sparse<M> layer, QuantizeOptions options = {}) {
  layer->wrap(std::move(options));
  return layer;
}
template <typename M>
Sparse<M> quantize(const torch::nn::ModuleHolder<M>& layer, QuantizeOptions options = {}) {
  return quantize(Sparse<M>(layer.ptr()), std::move(options));
}
template <typename M>
Sparse<M> prune(Sparse<M> layer, PruneOptions options = {}) {
  layer->wrap(std::move(options));
  return layer;
}
template <typename M>
Sparse<M> prune(const torch::nn::ModuleHolder<M>& layer, PruneOptions options = {}) {
  return prune(Sparse<M>(layer.ptr()), std::move(options));
}

// Gives every quantize and prune layer below `root` its module path as name: "conv.quantize".
void auto_name_prune_quantize_layers(torch::nn::Module& root);

}  // namespace lockstep::train
