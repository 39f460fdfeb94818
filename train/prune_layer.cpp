#include "train/prune_layer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "compile/support/error.h"
#include "train/batch_head.h"
#include "train/freeze_guard.h"
#include "train/linear_quantize.h"
#include "train/sparse_log.h"

namespace lockstep::train {
namespace {

void require_options(const std::string& owner, const PruneSpec& spec) {
  const auto refuse = [&](std::string_view name, const auto& value, std::string_view allowed) {
    throw InputError(fmt::format("{}: {} = {}, but {}", owner, name, value, allowed));
  };
  if (!(spec.sparsity >= 0 && spec.sparsity <= 1))
    refuse("sparsity", spec.sparsity, "it must be a number from 0 to 1");
  if (spec.interval < 1) refuse("interval", spec.interval, "it must be at least 1");
  if (spec.repetition < 0) refuse("repetition", spec.repetition, "it must be at least 0");
  if (spec.window_size < 1) refuse("window_size", spec.window_size, "it must be at least 1");
  if (spec.collapse && *spec.collapse > 0)
    refuse("collapse", *spec.collapse, "only 0 (batch) and -1 (none) have a meaning");
}

bool keeps_all(const torch::Tensor& mask) {
  if (!mask.is_cpu() || !mask.is_contiguous()) return mask.all().item<bool>();
  const auto size = static_cast<std::size_t>(mask.numel());
  return std::memchr(mask.data_ptr<bool>(), 0, size) == nullptr;
}

}  // namespace

PruneImpl::PruneImpl(PruneOptions options, Role role)
    : LearntLayer("lockstep::Prune"), options_(std::move(options)), role_(role) {
  const PruneSpec& spec = options_.spec();
  require_options(owner(), spec);
  collapse_batch_ = spec.collapse.value_or(role == Role::kActivation ? 0 : -1) >= 0;
  mask = add_entry("mask");
  n_updates = add_entry("_n_updates");
  current_sparsity = add_entry("_cur_sparsity");
  // QSPARSE's line ends in a space.
  log_line(LogKind::kCreated,
           fmt::format("[Prune{}] start = {} interval = {} repetition = {} sparsity = {} "
                       "window_size = {} collapse = {} ",
                       label().empty() ? "" : " @ " + label(), spec.start, spec.interval,
                       spec.repetition, spec.sparsity, spec.window_size, collapse_batch_ ? 0 : -1));
}

std::string PruneImpl::owner() const {
  return label().empty() ? "prune layer" : fmt::format("layer '{}'", label());
}

void PruneImpl::pretty_print(std::ostream& stream) const {
  const PruneSpec& spec = options_.spec();
  stream << fmt::format(
      "lockstep::Prune(sparsity={}, start={}, interval={}, repetition={}, window_size={}, "
      "strict={})",
      spec.sparsity, spec.start, spec.interval, spec.repetition, spec.window_size, spec.strict);
}

bool PruneImpl::initialised() const { return n_updates.item<std::int64_t>() != -1; }

std::int64_t PruneImpl::last_step() const {
  const PruneSpec& spec = options_.spec();
  return spec.start + spec.interval * spec.repetition;
}

torch::Tensor PruneImpl::make_mask(const std::vector<torch::Tensor>& entries,
                                   double sparsity) const {
  const torch::Tensor made = options_.callback()(entries, sparsity);
  bool fits = made.defined() && made.dim() == entries[0].dim();
  for (std::int64_t d = 0; fits && d < made.dim(); ++d)
    fits = made.size(d) == entries[0].size(d) || made.size(d) == 1;
  if (!fits)
    throw InputError(fmt::format(
        "{}: the callback's mask has shape [{}], the data [{}]; each size must be equal or 1",
        owner(), made.defined() ? fmt::format("{}", fmt::join(made.sizes(), ", ")) : "none",
        fmt::join(entries[0].sizes(), ", ")));
  return made.detach().to(torch::kBool);
}

void PruneImpl::initialise(const torch::Tensor& x) {
  if (x.dim() < 2)
    throw InputError(
        fmt::format("{}: prune needs a tensor of rank 2 or more, found rank {}", owner(), x.dim()));
  const torch::Tensor sample = (collapse_batch_ ? x.mean(0) : x).detach();
  mask.set_data(torch::ones_like(make_mask({sample}, 0.0)));
  n_updates.set_data(torch::zeros({1}, x.options().dtype(torch::kInt32)));
  current_sparsity.set_data(torch::zeros({1}, x.options().dtype(torch::kFloat32)));
}

// Up to window_size steps before a schedule point, and at it.
bool PruneImpl::collects_at(std::int64_t n) const {
  const PruneSpec& spec = options_.spec();
  const std::int64_t passed = std::max<std::int64_t>(n - spec.start, 0);
  const std::int64_t next = std::max<std::int64_t>((passed + spec.interval - 1) / spec.interval, 1);
  return next <= spec.repetition && spec.start + spec.interval * next - n <= spec.window_size;
}

void PruneImpl::collect(const torch::Tensor& x) {
  const std::int64_t size = options_.spec().window_size;
  if (collapse_batch_) {
    // A weight's rows are no batch, and are the same on all processes.
    const torch::Tensor rows = x.detach();
    const torch::Tensor head =
        (role_ == Role::kActivation ? batch_head(rows, size)
                                    : rows.narrow(0, 0, std::min(size, rows.size(0))))
            .abs();
    for (std::int64_t i = 0; i < head.size(0); ++i) window.push_back(head.select(0, i));
  } else {
    window.push_back(x.detach().abs());
  }
  while (static_cast<std::int64_t>(window.size()) > size) window.pop_front();
}

void PruneImpl::update(std::int64_t n) {
  const PruneSpec& spec = options_.spec();
  if (static_cast<std::int64_t>(window.size()) < spec.window_size)
    log_line(LogKind::kWarning,
             fmt::format("window is not full when pruning, this will cause performance "
                         "degradation! (window has {} elements while window_size parameter is {})",
                         window.size(), spec.window_size));
  const double done =
      static_cast<double>(n - spec.start) / static_cast<double>(spec.interval * spec.repetition);
  // The float32 value decides, widened again: float32(0.7) < 0.7 prunes one element fewer.
  const auto sparsity = static_cast<float>(spec.sparsity * (1 - std::pow(1 - done, 3)));
  mask.set_data(make_mask({window.begin(), window.end()}, sparsity));
  current_sparsity.fill_(sparsity);
  const double active = static_cast<double>(mask.sum().item<std::int64_t>()) /
                        static_cast<double>(std::max<std::int64_t>(mask.numel(), 1));
  log_line(
      LogKind::kProgress,
      fmt::format("[Prune{}] [Step {}] active {:.2f}, pruned {:.2f}, window_size = {}",
                  label().empty() ? "" : " @ " + label(), n, active, 1 - active, window.size()));
}

// One step of the schedule: create the state, collect, compute a mask, count.
void PruneImpl::advance(const torch::Tensor& x) {
  const torch::NoGradGuard state_has_no_gradient;
  const PruneSpec& spec = options_.spec();
  if (!initialised()) initialise(x);
  const std::int64_t n = n_updates.item<std::int64_t>();
  if (collects_at(n) && (spec.strict || is_training())) collect(x);
  if (!is_training()) return;
  const bool due = n > spec.start && (n - spec.start) % spec.interval == 0;
  if (due && prunes() && current_sparsity.item<float>() < static_cast<float>(spec.sparsity) &&
      !window.empty()) {
    update(n);
    if (!collects_at(n + 1)) window.clear();
  }
  n_updates.add_(1);
}

// strict = false, another size than in training: the mask is repeated as often as it fits, centred;
// what lies outside is kept. A dimension smaller than the mask's fits it no time at all.
torch::Tensor PruneImpl::tiled_mask(const torch::Tensor& x) const {
  const std::int64_t batch_dims = x.dim() - mask.dim();
  if (batch_dims < 0 || batch_dims > 1)
    throw InputError(fmt::format("{}: mask shape not matched: the mask has rank {}, the input {}",
                                 owner(), mask.dim(), x.dim()));
  const at::IntArrayRef sizes = x.sizes().slice(static_cast<std::size_t>(batch_dims));
  torch::Tensor whole = torch::ones(sizes, mask.options()), centre = whole;
  std::vector<std::int64_t> repeats;
  for (std::int64_t d = 0; d < mask.dim(); ++d) {
    const std::int64_t size = sizes[static_cast<std::size_t>(d)];
    const std::int64_t times = size / mask.size(d), covered = times * mask.size(d);
    repeats.push_back(times);
    centre = centre.narrow(d, (size - covered) / 2, covered);
  }
  centre.copy_(mask.repeat(repeats));
  return whole;
}

torch::Tensor PruneImpl::mask_for(const torch::Tensor& x) const {
  if (!initialised()) return {};
  const std::int64_t skip = collapse_batch_ && x.dim() > mask.dim() ? 1 : 0;
  bool matches = x.dim() - skip == mask.dim();
  for (std::int64_t d = 0; matches && d < mask.dim(); ++d)
    matches = mask.size(d) == x.size(d + skip) || mask.size(d) == 1;
  torch::Tensor keep = mask.detach();
  if (!matches) {
    if (options_.spec().strict || is_training() || role_ == Role::kWeight)
      throw InputError(fmt::format("{}: the mask has shape [{}], the input [{}]", owner(),
                                   fmt::join(mask.sizes(), ", "), fmt::join(x.sizes(), ", ")));
    keep = tiled_mask(x);
  }
  return keeps_all(keep) ? torch::Tensor() : keep;
}

bool PruneImpl::looks_at_data() const {
  return !FreezeGuard::is_active() && (!initialised() || collects_at(n_updates.item<int>()));
}

torch::Tensor PruneImpl::step(const torch::Tensor& x) {
  if (!FreezeGuard::is_active()) advance(x);
  return mask_for(x);
}

torch::Tensor PruneImpl::forward(const torch::Tensor& x) {
  const torch::Tensor keep = step(x);
  return keep.defined() ? apply_mask(x, keep) : x;
}

}  // namespace lockstep::train
