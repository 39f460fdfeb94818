// QSPARSE's quantize layer: float until its counter reaches `timeout`, then the decimals are
// searched on a window of recent data, and from there on the output is Q(x) with a straight-through
// gradient. With `interval`, the search is repeated every so many steps.
//
// A forward in training is a step. A forward in eval mode does not count, but may collect data and
// even search, as in QSPARSE; under a FreezeGuard it changes nothing. What differs from QSPARSE on
// purpose is listed in docs/qsparse-compatibility.md.
#pragma once

#include <torch/nn/pimpl.h>

#include <deque>
#include <string>

#include "train/learnt_layer.h"
#include "train/sparse_options.h"

namespace lockstep::train {

struct AroundQuantize;  // linear_quantize.h

// What a layer's data are: activations have a batch axis in front, weights and biases have none.
enum class Role : std::uint8_t { kActivation, kWeight, kBias };

class QuantizeImpl : public LearntLayer {
 public:
  // InputError when an option is out of range. For a bias, the width is options' bias_bits and
  // there is one decimal per element. Says that it was made (sparse_log.h).
  explicit QuantizeImpl(QuantizeOptions options = {}, Role role = Role::kActivation);

  // InputError names the layer for: a value that Q cannot represent in int32, data for which no
  // decimal has a finite error, another number of channels than before, and an activation with
  // channelwise 0 and more than one sample. A forward that fails does not count.
  torch::Tensor forward(const torch::Tensor& x);

  // forward with what stands around it (linear_quantize.h), in one pass over x where the layer need
  // not look at its input itself.
  torch::Tensor forward_around(const torch::Tensor& x, AroundQuantize around);

  // Of a weight or bias that every process of a SharedBatch has (batch_head.h): there the backward
  // leaves its gradient unclamped, because the processes' sum is clamped, by this.
  torch::Tensor clamped_gradient(const torch::Tensor& gradient) const;

  bool initialised() const;  // has seen data
  bool quantized() const;
  const QuantizeOptions& options() const { return options_; }
  std::int64_t timeout() const { return options_.spec().timeout; }
  // The axis of the decimals; negative: there is one for all.
  std::int64_t channel_axis() const { return axis_; }
  // The name in log lines and errors; empty unless given or set.
  const std::string& label() const { return options_.name(); }
  void set_label(std::string text) { options_.name(std::move(text)); }
  void pretty_print(std::ostream& stream) const override;

  // State entries, in QSPARSE's order; 0-d int32 -1 before the first forward.
  torch::Tensor decimal, n_updates, bits, quantized_flag;
  // Data collected and not yet used; a checkpoint must carry it.
  std::deque<torch::Tensor> window;

 private:
  std::string owner() const;
  void advance(const torch::Tensor& x);
  torch::Tensor transform(const torch::Tensor& x, const AroundQuantize& around) const;
  void initialise(const torch::Tensor& x);
  bool collects_at(std::int64_t n) const;
  void collect(const torch::Tensor& x);
  bool triggered(std::int64_t n) const;
  void search(const torch::Tensor& x);
  std::vector<float> search_rows(const torch::Tensor& rows) const;
  torch::Tensor channels_of(const torch::Tensor& entry, const torch::Tensor& x) const;

  QuantizeOptions options_;
  Role role_;
  std::int64_t axis_;
};
TORCH_MODULE(Quantize);

}  // namespace lockstep::train
