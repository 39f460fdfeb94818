// QSPARSE's prune layer: a binary mask that grows along a cubic schedule and multiplies its input.
//
// Schedule points are S_i = start + interval * i, i = 1 .. repetition. At each, a new mask is
// computed from a window of recent data, from scratch, so a pruned element can come back.
//
// One deliberate difference from QSPARSE 1.0.1: a weight's mask is always applied whole, also with
// strict = false in eval mode, where QSPARSE uses its first row for all rows.
#pragma once

#include <torch/torch.h>

#include <deque>
#include <span>
#include <string>

#include "compile/graph/graph.h"
#include "train/quantizer.h"

namespace lockstep::train {

// The mask (bool, true = keep) of `sparsity` over the mean of |entry| of the window. With n
// elements, those below the max(int(sparsity * n - 1), 0)-th smallest are pruned; ties with it
// stay, NaN goes.
torch::Tensor unstructured_mask(std::span<const torch::Tensor> window, double sparsity);

// The same on the entries reduced by abs-mean over every dimension not in `dims`; the mask keeps
// size 1 there.
torch::Tensor structured_mask(std::span<const torch::Tensor> window,
                              std::span<const std::int64_t> dims, double sparsity);

class PruneLayer : public torch::nn::Module {
 public:
  // `role` is kActivation or kWeight. `context` must outlive the layer.
  PruneLayer(std::string label, const PruneSpec& spec, Role role, LayerContext* context);

  torch::Tensor forward(const torch::Tensor& x);

  bool initialised() const;
  // Is there anything to prune at all?
  bool prunes() const { return spec_.sparsity > 0 && spec_.repetition > 0; }
  const std::string& label() const { return label_; }
  std::int64_t last_step() const { return spec_.start + spec_.interval * spec_.repetition; }

  // Must follow a change of `mask` from outside.
  void mask_changed();

  // State entries, in QSPARSE's order; 0-d int32 -1 before the first forward.
  torch::Tensor mask, n_updates, current_sparsity;
  // Data collected and not yet used; a checkpoint must carry it.
  std::deque<torch::Tensor> window;

 private:
  void advance(const torch::Tensor& x);
  void initialise(const torch::Tensor& x);
  bool collects_at(std::int64_t n) const;
  void collect(const torch::Tensor& x);
  void update(std::int64_t n);
  torch::Tensor make_mask(std::span<const torch::Tensor> entries, double sparsity) const;
  torch::Tensor tiled_mask(const torch::Tensor& x) const;

  std::string label_;
  PruneSpec spec_;
  bool collapse_batch_;  // collapse 0: the window holds single samples without the batch dimension
  Role role_;
  LayerContext* context_;
  torch::Tensor factor_;  // the mask as float32; undefined while it keeps everything
};

}  // namespace lockstep::train
