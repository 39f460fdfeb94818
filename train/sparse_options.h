// The options of quantize(...) and prune(...), in LibTorch's manner:
//
//   QuantizeOptions().bits(8).channelwise(0).timeout(100)
//   PruneOptions().sparsity(0.75).callback(structured_prune({0}))
//
// Names, meanings and defaults are QSPARSE's (docs/guide/training.md). The values live in the
// graph's own structs, so that a network built here and one read from graph.json cannot differ.
// Values out of range are refused when the layer is made.
#pragma once

#include <torch/types.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "compile/graph/graph.h"

namespace lockstep::train {

// Quantizes `x` (float32) to `bits` bits: `decimals` holds one decimal (float32), or one for each
// index of axis `channel_index`. Returns a tensor of x's shape; must support autograd if gradients
// are to pass. The search for decimals calls it, too, with one decimal and the data of one channel.
using QuantizeCallback =
    std::function<torch::Tensor(const torch::Tensor& x, std::int64_t bits,
                                const torch::Tensor& decimals, std::int64_t channel_index)>;

// The mask (bool, true keeps) for the collected tensors, at least one, all of one shape. Each
// dimension of the mask is the data's or 1. Called with sparsity 0 to learn the mask's shape.
using PruneCallback =
    std::function<torch::Tensor(const std::vector<torch::Tensor>& window, double sparsity)>;

PruneCallback unstructured_prune();                              // single elements; the default
PruneCallback structured_prune(std::vector<std::int64_t> dims);  // whole slices along `dims`
// Blocks of these extents along the first axes, 1 along all others; those at an end may be smaller.
// {32, 4} on a weight is what the vector kernels leave out.
PruneCallback block_prune(std::vector<std::int64_t> extents);

class QuantizeOptions {
 public:
  QuantizeOptions() = default;
  explicit QuantizeOptions(const QuantizeSpec& spec) : spec_(spec) {}

  QuantizeOptions& bits(std::int64_t n) { return set(spec_.bits, n); }
  // Axis with one decimal per index, counted with the batch; negative: one decimal for all.
  QuantizeOptions& channelwise(std::int64_t axis) { return set(spec_.channelwise, axis); }
  QuantizeOptions& decimal_range(std::int64_t lo, std::int64_t hi) {  // hi is not tried
    return set(spec_.decimal_lo, lo).set(spec_.decimal_hi, hi);
  }
  QuantizeOptions& saturate_range(double lo, double hi) {  // quantiles
    return set(spec_.saturate_lo, lo).set(spec_.saturate_hi, hi);
  }
  QuantizeOptions& timeout(std::int64_t steps) { return set(spec_.timeout, steps); }
  QuantizeOptions& interval(std::int64_t steps) { return set(spec_.interval, steps); }
  QuantizeOptions& window_size(std::int64_t n) { return set(spec_.window_size, n); }
  QuantizeOptions& bias_bits(std::int64_t n) { return set(spec_.bias_bits, n); }
  QuantizeOptions& rounding(Rounding mode) { return set(spec_.rounding, mode); }
  QuantizeOptions& callback(QuantizeCallback call) { return set(callback_, std::move(call)); }
  QuantizeOptions& name(std::string text) { return set(name_, std::move(text)); }

  const QuantizeSpec& spec() const { return spec_; }
  const QuantizeCallback& callback() const { return callback_; }  // empty: Q of docs/arithmetic.md
  const std::string& name() const { return name_; }

 private:
  template <typename T>
  QuantizeOptions& set(T& field, T value) {
    field = std::move(value);
    return *this;
  }

  QuantizeSpec spec_;
  QuantizeCallback callback_;
  std::string name_;
};

class PruneOptions {
 public:
  PruneOptions() = default;
  explicit PruneOptions(const PruneSpec& spec)
      : spec_(spec),
        callback_(spec.structured_dims ? structured_prune(*spec.structured_dims)
                  : spec.block         ? block_prune(*spec.block)
                                       : unstructured_prune()) {}

  PruneOptions& sparsity(double share) { return set(spec_.sparsity, share); }
  PruneOptions& start(std::int64_t step) { return set(spec_.start, step); }
  PruneOptions& interval(std::int64_t steps) { return set(spec_.interval, steps); }
  PruneOptions& repetition(std::int64_t times) { return set(spec_.repetition, times); }
  PruneOptions& window_size(std::int64_t n) { return set(spec_.window_size, n); }
  PruneOptions& strict(bool on) { return set(spec_.strict, on); }
  // 0: a mask for one sample of a batch; -1: for the whole tensor. Left alone: 0 for activations,
  // -1 for weights.
  PruneOptions& collapse(std::int64_t axis) {
    spec_.collapse = axis;
    return *this;
  }
  PruneOptions& callback(PruneCallback call) { return set(callback_, std::move(call)); }
  PruneOptions& name(std::string text) { return set(name_, std::move(text)); }

  const PruneSpec& spec() const { return spec_; }
  const PruneCallback& callback() const { return callback_; }
  const std::string& name() const { return name_; }

 private:
  template <typename T>
  PruneOptions& set(T& field, T value) {
    field = std::move(value);
    return *this;
  }

  PruneSpec spec_;
  PruneCallback callback_ = unstructured_prune();
  std::string name_;
};

}  // namespace lockstep::train
