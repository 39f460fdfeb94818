// QSPARSE's prune layer: a binary mask that grows along a cubic schedule and multiplies its input.
//
// Schedule points are S_i = start + interval * i, i = 1 .. repetition. At each, a new mask is
// computed from a window of recent data, from scratch, so a pruned element can come back. What
// differs from QSPARSE on purpose is listed in docs/qsparse-compatibility.md.
#pragma once

#include <torch/nn/pimpl.h>

#include <deque>
#include <string>

#include "train/quantize_layer.h"

namespace lockstep::train {

class PruneImpl : public LearntLayer {
 public:
  // `role` is kActivation or kWeight. InputError when an option is out of range. Says that it was
  // made (sparse_log.h).
  explicit PruneImpl(PruneOptions options = {}, Role role = Role::kActivation);

  // InputError names the layer and the shapes for a tensor that the mask does not fit; that forward
  // counts, as in QSPARSE. Under a FreezeGuard nothing changes.
  torch::Tensor forward(const torch::Tensor& x);

  // What forward does except for the product: the mask by which it multiplies x (see apply_mask);
  // undefined when nothing is pruned.
  torch::Tensor step(const torch::Tensor& x);
  // Will the next forward look at the values of its input, other than to multiply them?
  bool looks_at_data() const;

  bool initialised() const;  // has seen data
  // Is there anything to prune at all?
  bool prunes() const { return options_.spec().sparsity > 0 && options_.spec().repetition > 0; }
  const PruneOptions& options() const { return options_; }
  std::int64_t last_step() const;
  // Is the mask for one index of the first axis (collapse 0)? Else it is for the whole tensor.
  bool collapses() const { return collapse_batch_; }
  // The name in log lines and errors; empty unless given or set.
  const std::string& label() const { return options_.name(); }
  void set_label(std::string text) { options_.name(std::move(text)); }
  void pretty_print(std::ostream& stream) const override;

  // State entries, in QSPARSE's order; 0-d int32 -1 before the first forward.
  torch::Tensor mask, n_updates, current_sparsity;
  // Data collected and not yet used; a checkpoint must carry it.
  std::deque<torch::Tensor> window;

 private:
  std::string owner() const;
  void advance(const torch::Tensor& x);
  void initialise(const torch::Tensor& x);
  bool collects_at(std::int64_t n) const;
  void collect(const torch::Tensor& x);
  void update(std::int64_t n);
  torch::Tensor make_mask(const std::vector<torch::Tensor>& entries, double sparsity) const;
  torch::Tensor tiled_mask(const torch::Tensor& x) const;
  torch::Tensor mask_for(const torch::Tensor& x) const;

  PruneOptions options_;
  Role role_;
  bool collapse_batch_;  // collapse 0: the window holds single samples without the batch axis
};
TORCH_MODULE(Prune);

}  // namespace lockstep::train
