// QSPARSE's quantize layer: float until its counter reaches `timeout`, then the decimals are
// searched once on a window of recent data, and from there on the output is Q(x) with a
// straight-through gradient.
//
// Collection and search follow QSPARSE 1.0.1, where a forward in eval mode may collect and even
// search. Measuring accuracy must not do that, so LayerContext::frozen switches all changes of
// state off. Deliberate differences:
// - An input that overflows int32 is refused; in QSPARSE it becomes the lowest code.
// - A search where no decimal has a finite error is refused, naming the layer.
// - The incoming gradient is not modified; QSPARSE clamps it in place.
// - Nothing is logged when a layer is created.
#pragma once

#include <torch/torch.h>

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "compile/graph/graph.h"

namespace lockstep::train {

// What the quantize and prune layers of one network share.
struct LayerContext {
  std::vector<std::string> events;  // QSPARSE's log lines and warnings, in order
  bool frozen = false;              // forwards only apply what was learnt; no state changes
};

// Q with per-tensor (one decimal) or per-channel decimals along `axis` (negative: the last axis),
// with autograd. `decimals` is an int or float tensor. `fits` (may be null) is set to whether every
// x * 2^decimal fits int32. The result is float32; the gradient has x's dtype.
torch::Tensor quantize(const torch::Tensor& x, const torch::Tensor& decimals, int bits,
                       std::int64_t axis, Rounding rounding, bool* fits = nullptr);

// Clamps `data` to its two quantiles; (0, 1) returns it unchanged.
torch::Tensor saturate(const torch::Tensor& data, double lo, double hi);

// The decimal n in [decimal_lo, decimal_hi) with the strictly smallest float32 error
// sum((t - Q(t, bits, n))^2) over the saturated data; empty when no error is finite. Changes
// nothing. `errors` (may be null) receives the error of every n.
std::optional<int> search_decimal(const torch::Tensor& data, int bits, const QuantizeSpec& spec,
                                  std::vector<float>* errors = nullptr);

enum class Role { kActivation, kWeight, kBias };

class QuantizeLayer : public torch::nn::Module {
 public:
  // `label` is the name in log lines ("conv1.quantize"). For a bias, bits and axis come from
  // spec.bias_bits and 0. `context` must outlive the layer.
  QuantizeLayer(std::string label, const QuantizeSpec& spec, Role role, LayerContext* context);

  torch::Tensor forward(const torch::Tensor& x);

  bool initialised() const;
  bool quantized() const;
  const std::string& label() const { return label_; }
  std::int64_t timeout() const { return spec_.timeout; }

  // State entries, in QSPARSE's order; 0-d int32 -1 before the first forward.
  torch::Tensor decimal, n_updates, bits, quantized_flag;
  // Data collected and not yet used; a checkpoint must carry it.
  std::deque<torch::Tensor> window;

 private:
  void advance(const torch::Tensor& x);
  torch::Tensor transform(const torch::Tensor& x);
  void initialise(const torch::Tensor& x);
  void collect(const torch::Tensor& x, std::int64_t n);
  bool triggered(std::int64_t n) const;
  void search(const torch::Tensor& x);

  std::string label_;
  QuantizeSpec spec_;
  std::int64_t axis_;
  Role role_;
  LayerContext* context_;
};

}  // namespace lockstep::train
