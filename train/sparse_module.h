// A module whose weight is pruned or quantized each time it runs: QSPARSE's quantize(layer) and
// prune(layer).
//
// The stored weight and bias stay in full precision. For the time of a forward, the wrapped module
// sees the effective ones instead, so any LibTorch module with a `weight` can be wrapped, and it
// computes what it always computes.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <memory>
#include <variant>
#include <vector>

#include "train/prune_layer.h"
#include "train/quantize_layer.h"

namespace lockstep::train {

// What does not depend on the wrapped module's type. Parameters, buffers and children of that
// module become this one's, so that state-dict keys and their order are QSPARSE's: weight, bias,
// then the wraps' entries in the order of application.
class SparseModule : public torch::nn::Module {
 public:
  // InputError when the weight has that kind of wrap already, or the options do not suit it.
  void wrap(PruneOptions options);
  void wrap(QuantizeOptions options);

  // What a forward would compute with at this moment; the bias is undefined without one. Looking is
  // no step: nothing changes.
  torch::Tensor effective_weight();
  torch::Tensor effective_bias();

  // Empty holders without such a wrap.
  const Prune& pruner() const { return pruner_; }
  const Quantize& quantizer() const { return quantizer_; }
  const Quantize& bias_quantizer() const { return bias_quantizer_; }

  // The stored values. `bias` may be undefined.
  torch::Tensor weight, bias;

  void train(bool on = true) override;
  void pretty_print(std::ostream& stream) const override;

 protected:
  SparseModule(std::shared_ptr<torch::nn::Module> wrapped, torch::Tensor stored_weight,
               torch::Tensor stored_bias);
  // Apply the wraps; a step when this is a step (see QuantizeImpl).
  torch::Tensor transformed_weight();
  torch::Tensor transformed_bias();

 private:
  std::shared_ptr<torch::nn::Module> wrapped_;  // not registered: what it has is registered here
  std::vector<std::variant<Prune, Quantize>> wraps_;
  Prune pruner_ = nullptr;
  Quantize quantizer_ = nullptr, bias_quantizer_ = nullptr;
};

template <typename M>
class SparseImpl : public SparseModule {
 public:
  explicit SparseImpl(std::shared_ptr<M> wrapped)
      : SparseModule(wrapped, wrapped->weight, wrapped->bias), wrapped_(std::move(wrapped)) {}

  torch::Tensor forward(const torch::Tensor& x) {
    torch::Tensor w = transformed_weight();  // first, as in QSPARSE
    const Lent lent(*wrapped_, std::move(w), transformed_bias());
    return wrapped_->forward(x);
  }

 private:
  // Lends the wrapped module its effective weight and bias, and gives the stored ones back.
  struct Lent {
    Lent(M& module, torch::Tensor lent_weight, torch::Tensor lent_bias)
        : borrower(module), weight(module.weight), bias(module.bias) {
      module.weight = std::move(lent_weight);
      module.bias = std::move(lent_bias);
    }
    ~Lent() {
      borrower.weight = weight;
      borrower.bias = bias;
    }
    Lent(const Lent&) = delete;
    Lent& operator=(const Lent&) = delete;
    M& borrower;
    torch::Tensor weight, bias;
  };

  std::shared_ptr<M> wrapped_;
};

// The holder, for members, torch::nn::Sequential and register_module.
template <typename M>
class Sparse : public torch::nn::ModuleHolder<SparseImpl<M>> {
 public:
  using torch::nn::ModuleHolder<SparseImpl<M>>::ModuleHolder;
};

}  // namespace lockstep::train
