#include "train/sparse_module.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include "compile/support/error.h"
#include "train/freeze_guard.h"
#include "train/linear_quantize.h"
#include "train/sparse_log.h"

namespace lockstep::train {
namespace {

[[noreturn]] void refuse_second(const std::string& name, const char* kind) {
  throw InputError(fmt::format("{}: a weight can be wrapped by {} only once",
                               name.empty() ? "wrapped layer" : fmt::format("layer '{}'", name),
                               kind));
}

}  // namespace

SparseModule::SparseModule(std::shared_ptr<torch::nn::Module> wrapped, torch::Tensor stored_weight,
                           torch::Tensor stored_bias)
    : torch::nn::Module(wrapped->name()),
      weight(std::move(stored_weight)),
      bias(std::move(stored_bias)),
      wrapped_(std::move(wrapped)) {
  LOCKSTEP_ASSERT(weight.defined());
  for (const auto& entry : wrapped_->named_parameters(false))
    register_parameter(entry.key(), entry.value(), entry.value().requires_grad());
  for (const auto& entry : wrapped_->named_buffers(false))
    register_buffer(entry.key(), entry.value());
  for (const auto& entry : wrapped_->named_children()) register_module(entry.key(), entry.value());
}

void SparseModule::wrap(PruneOptions options) {
  if (pruner_) refuse_second(options.name(), "prune");
  pruner_ = register_module("prune", Prune(std::move(options), Role::kWeight));
  wraps_.emplace_back(pruner_);
}

void SparseModule::wrap(QuantizeOptions options) {
  if (quantizer_) refuse_second(options.name(), "quantize");
  const std::string name = options.name();
  const std::string owner = name.empty() ? "quantize layer" : fmt::format("layer '{}'", name);
  const QuantizeSpec& spec = options.spec();
  if (spec.channelwise >= weight.dim())
    throw InputError(fmt::format(
        "{}: channelwise = {}, but the weight has shape [{}]; use 0 to {}, or -1 (one decimal)",
        owner, spec.channelwise, fmt::join(weight.sizes(), ", "), weight.dim() - 1));
  if (spec.bias_bits >= 0 && !bias.defined())
    log_line(LogKind::kWarning,
             fmt::format("{}: bias_bits = {}, but there is no bias; the state entries of "
                         "quantize_bias stay unused",
                         owner, spec.bias_bits));
  quantizer_ = register_module("quantize", Quantize(options, Role::kWeight));
  wraps_.emplace_back(quantizer_);
  if (spec.bias_bits < 0) return;
  if (!name.empty()) options.name(name + "_bias");
  bias_quantizer_ = register_module("quantize_bias", Quantize(options, Role::kBias));
}

torch::Tensor SparseModule::transformed_weight() {
  torch::Tensor w = weight, mask;  // of w, not yet applied
  for (auto& wrap : wraps_) {
    if (auto* const quantize = std::get_if<Quantize>(&wrap))
      w = (*quantize)->forward_around(w, {.mask = std::exchange(mask, {})});
    else
      mask = std::get<Prune>(wrap)->step(w);
  }
  return mask.defined() ? apply_mask(w, mask) : w;
}

torch::Tensor SparseModule::transformed_bias() {
  return bias.defined() && bias_quantizer_ ? bias_quantizer_->forward(bias) : bias;
}

torch::Tensor SparseModule::effective_weight() {
  const FreezeGuard looking;
  return transformed_weight();
}

torch::Tensor SparseModule::effective_bias() {
  const FreezeGuard looking;
  return transformed_bias();
}

void SparseModule::train(bool on) {
  torch::nn::Module::train(on);
  wrapped_->train(on);
}

void SparseModule::pretty_print(std::ostream& stream) const { wrapped_->pretty_print(stream); }

}  // namespace lockstep::train
