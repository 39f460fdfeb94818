#include "train/pruner.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "compile/support/error.h"

namespace lockstep::train {
namespace {

torch::Tensor keep_largest(const torch::Tensor& saliency, double sparsity) {
  const std::int64_t n = saliency.numel();
  if (n == 0) return torch::ones(saliency.sizes(), torch::kBool);
  const torch::Tensor sorted = std::get<0>(saliency.reshape(-1).sort());
  const auto index =
      std::max<std::int64_t>(static_cast<std::int64_t>(sparsity * static_cast<double>(n) - 1), 0);
  if (index >= n)
    throw InputError(fmt::format("sparsity = {} prunes {} of {} elements", sparsity, index, n));
  return saliency >= sorted[index];
}

torch::Tensor mean_magnitude(std::span<const torch::Tensor> window) {
  return torch::stack(at::TensorList(window.data(), window.size())).abs().mean(0);
}

}  // namespace

torch::Tensor unstructured_mask(std::span<const torch::Tensor> window, double sparsity) {
  LOCKSTEP_ASSERT(!window.empty());
  return keep_largest(mean_magnitude(window), sparsity);
}

torch::Tensor structured_mask(std::span<const torch::Tensor> window,
                              std::span<const std::int64_t> dims, double sparsity) {
  LOCKSTEP_ASSERT(!window.empty());
  std::vector<torch::Tensor> reduced;
  for (torch::Tensor entry : window) {
    for (std::int64_t d = 0; d < entry.dim(); ++d)
      if (std::find(dims.begin(), dims.end(), d) == dims.end()) entry = entry.abs().mean(d, true);
    reduced.push_back(entry);
  }
  return keep_largest(mean_magnitude(reduced), sparsity);
}

PruneLayer::PruneLayer(std::string label, const PruneSpec& spec, Role role, LayerContext* context)
    : label_(std::move(label)),
      spec_(spec),
      collapse_batch_(spec.collapse.value_or(role == Role::kActivation ? 0 : -1) >= 0),
      role_(role),
      context_(context) {
  if (spec.interval <= 0)
    throw InputError(
        fmt::format("layer '{}': interval = {}, but it must be at least 1", label_, spec.interval));
  if (spec.collapse && *spec.collapse > 0)
    throw InputError(
        fmt::format("layer '{}': collapse = {}, but only 0 (batch) and -1 (none) have a "
                    "meaning",
                    label_, *spec.collapse));
  const auto placeholder = [&](const char* name) {
    return register_parameter(name, torch::full({}, -1, torch::kInt32), false);
  };
  mask = placeholder("mask");
  n_updates = placeholder("_n_updates");
  current_sparsity = placeholder("_cur_sparsity");
}

bool PruneLayer::initialised() const { return n_updates.item<std::int64_t>() != -1; }

void PruneLayer::mask_changed() {
  const bool keeps_all = mask.scalar_type() != torch::kBool || mask.all().item<bool>();
  factor_ = keeps_all ? torch::Tensor() : mask.to(torch::kFloat32);
}

torch::Tensor PruneLayer::make_mask(std::span<const torch::Tensor> entries, double sparsity) const {
  return spec_.structured_dims ? structured_mask(entries, *spec_.structured_dims, sparsity)
                               : unstructured_mask(entries, sparsity);
}

void PruneLayer::initialise(const torch::Tensor& x) {
  if (x.dim() < 2)
    throw InputError(fmt::format(
        "layer '{}': prune needs a tensor of rank 2 or more, found rank {}", label_, x.dim()));
  const torch::Tensor sample = collapse_batch_ ? x.mean(0) : x;
  mask.set_data(torch::ones_like(make_mask({&sample, 1}, 0.0)));
  n_updates.set_data(torch::zeros({1}, torch::kInt32));
  current_sparsity.set_data(torch::zeros({1}, torch::kFloat32));
  mask_changed();
}

// Up to window_size steps before a schedule point, and at it.
bool PruneLayer::collects_at(std::int64_t n) const {
  const std::int64_t passed = std::max<std::int64_t>(n - spec_.start, 0);
  const std::int64_t next =
      std::max<std::int64_t>((passed + spec_.interval - 1) / spec_.interval, 1);
  return next <= spec_.repetition && spec_.start + spec_.interval * next - n <= spec_.window_size;
}

void PruneLayer::collect(const torch::Tensor& x) {
  if (collapse_batch_) {
    const torch::Tensor head =
        x.detach().narrow(0, 0, std::min(spec_.window_size, x.size(0))).abs();
    for (std::int64_t i = 0; i < head.size(0); ++i) window.push_back(head.select(0, i));
  } else {
    window.push_back(x.detach().abs());
  }
  while (static_cast<std::int64_t>(window.size()) > spec_.window_size) window.pop_front();
}

void PruneLayer::update(std::int64_t n) {
  if (static_cast<std::int64_t>(window.size()) < spec_.window_size)
    context_->events.push_back(fmt::format(
        "window is not full when pruning, this will cause performance degradation! (window has {} "
        "elements while window_size parameter is {})",
        window.size(), spec_.window_size));
  const double done =
      static_cast<double>(n - spec_.start) / static_cast<double>(spec_.interval * spec_.repetition);
  current_sparsity.fill_(spec_.sparsity * (1 - std::pow(1 - done, 3)));
  // The float32 value decides, widened again: float32(0.7) < 0.7 prunes one element fewer.
  const std::vector<torch::Tensor> entries(window.begin(), window.end());
  mask.set_data(make_mask(entries, current_sparsity.item<float>()));
  mask_changed();
  const double active = static_cast<double>(mask.sum().item<std::int64_t>()) /
                        static_cast<double>(std::max<std::int64_t>(mask.numel(), 1));
  context_->events.push_back(
      fmt::format("[Prune @ {}] [Step {}] active {:.2f}, pruned {:.2f}, window_size = {}", label_,
                  n, active, 1 - active, window.size()));
}

// One step of the schedule: create the state, collect, compute a mask, count.
void PruneLayer::advance(const torch::Tensor& x) {
  const torch::NoGradGuard state_has_no_gradient;
  if (!initialised()) initialise(x);
  const std::int64_t n = n_updates.item<std::int64_t>();
  if (collects_at(n) && (spec_.strict || is_training())) collect(x);
  if (!is_training()) return;
  const bool due = n > spec_.start && (n - spec_.start) % spec_.interval == 0;
  if (due && prunes() && current_sparsity.item<float>() < static_cast<float>(spec_.sparsity) &&
      !window.empty()) {
    update(n);
    if (!collects_at(n + 1)) window.clear();
  }
  n_updates.add_(1);
}

// strict = false, another size than in training: the mask is repeated as often as it fits, centred;
// what lies outside is kept. A dimension smaller than the mask's fits it no time at all.
torch::Tensor PruneLayer::tiled_mask(const torch::Tensor& x) const {
  const std::int64_t batch_dims = x.dim() - mask.dim();
  if (batch_dims < 0 || batch_dims > 1)
    throw InputError(
        fmt::format("layer '{}': mask shape not matched: the mask has rank {}, the input {}",
                    label_, mask.dim(), x.dim()));
  const at::IntArrayRef sizes = x.sizes().slice(static_cast<std::size_t>(batch_dims));
  torch::Tensor whole = torch::ones(sizes, torch::kFloat32), centre = whole;
  std::vector<std::int64_t> repeats;
  for (std::int64_t d = 0; d < mask.dim(); ++d) {
    const std::int64_t size = sizes[static_cast<std::size_t>(d)];
    const std::int64_t times = size / mask.size(d), covered = times * mask.size(d);
    repeats.push_back(times);
    centre = centre.narrow(d, (size - covered) / 2, covered);
  }
  centre.copy_(mask.to(torch::kFloat32).repeat(repeats));
  return whole;
}

torch::Tensor PruneLayer::forward(const torch::Tensor& x) {
  if (!context_->frozen) advance(x);
  if (!initialised()) return x;
  const std::int64_t skip = role_ == Role::kActivation && x.dim() > mask.dim() ? 1 : 0;
  bool matches = x.dim() - skip == mask.dim();
  for (std::int64_t d = 0; matches && d < mask.dim(); ++d)
    matches = mask.size(d) == x.size(d + skip) || mask.size(d) == 1;
  if (matches) return factor_.defined() ? x * factor_ : x;
  if (spec_.strict || is_training() || role_ == Role::kWeight)
    throw InputError(fmt::format("layer '{}': the mask has shape [{}], the input [{}]", label_,
                                 fmt::join(mask.sizes(), ", "), fmt::join(x.sizes(), ", ")));
  return x * tiled_mask(x);
}

}  // namespace lockstep::train
