#include "train/quantize_layer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <cmath>

#include "compile/support/error.h"
#include "train/batch_head.h"
#include "train/decimal_search.h"
#include "train/freeze_guard.h"
#include "train/linear_quantize.h"
#include "train/plain_number.h"
#include "train/sparse_log.h"

namespace lockstep::train {
namespace {

constexpr std::int64_t kMostBits = 32;

// Python's repr of a double.
std::string repr(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

// The largest absolute value, or NaN; for messages.
float worst_value(const torch::Tensor& x) {
  return static_cast<float>(without_nan_sign(x.abs().max().item<float>()));
}

// What Q gets.
torch::Tensor input_of_q(const torch::Tensor& x, const AroundQuantize& around) {
  const torch::Tensor from = around.relu == Relu::kBefore ? x.relu() : x;
  return around.mask.defined() ? apply_mask(from, around.mask) : from;
}

void require_options(const std::string& owner, const QuantizeSpec& spec, bool has_bias_bits) {
  const auto refuse = [&](std::string_view name, const auto& value, std::string_view allowed) {
    throw InputError(fmt::format("{}: {} = {}, but {}", owner, name, value, allowed));
  };
  const std::string widths = fmt::format("it must be 1 to {}", kMostBits);
  if (spec.bits < 1 || spec.bits > kMostBits) refuse("bits", spec.bits, widths);
  if (has_bias_bits && (spec.bias_bits < 1 || spec.bias_bits > kMostBits))
    refuse("bias_bits", spec.bias_bits, widths);
  if (spec.decimal_lo >= spec.decimal_hi)
    refuse("decimal_range", fmt::format("[{}, {}]", spec.decimal_lo, spec.decimal_hi),
           "its end (exclusive) must be above its start");
  if (!(0 <= spec.saturate_lo && spec.saturate_lo <= spec.saturate_hi && spec.saturate_hi <= 1))
    refuse("saturate_range", fmt::format("[{}, {}]", spec.saturate_lo, spec.saturate_hi),
           "it must be two quantiles from 0 to 1, in order");
  if (spec.window_size < 1) refuse("window_size", spec.window_size, "it must be at least 1");
}

}  // namespace

QuantizeImpl::QuantizeImpl(QuantizeOptions options, Role role)
    : LearntLayer("lockstep::Quantize"),
      options_(std::move(options)),
      role_(role),
      axis_(role == Role::kBias ? 0 : options_.spec().channelwise) {
  const QuantizeSpec& spec = options_.spec();
  require_options(owner(), spec, role == Role::kBias);
  decimal = add_entry("decimal");
  n_updates = add_entry("_n_updates");
  bits = add_entry("bits");
  quantized_flag = add_entry("_quantized");
  log_line(LogKind::kCreated,
           fmt::format("[Quantize{}] bits={} channelwise={} window_size={} timeout={}",
                       label().empty() ? "" : " @ " + label(),
                       role == Role::kBias ? spec.bias_bits : spec.bits, axis_, spec.window_size,
                       spec.timeout));
}

std::string QuantizeImpl::owner() const {
  return label().empty() ? "quantize layer" : fmt::format("layer '{}'", label());
}

void QuantizeImpl::pretty_print(std::ostream& stream) const {
  const QuantizeSpec& spec = options_.spec();
  stream << fmt::format("lockstep::Quantize(bits={}, channelwise={}, window_size={}, timeout={})",
                        role_ == Role::kBias ? spec.bias_bits : spec.bits, axis_, spec.window_size,
                        spec.timeout);
}

bool QuantizeImpl::initialised() const { return n_updates.item<std::int64_t>() != -1; }

bool QuantizeImpl::quantized() const {
  return quantized_flag.scalar_type() == torch::kBool && quantized_flag.item<bool>();
}

void QuantizeImpl::initialise(const torch::Tensor& x) {
  if (axis_ >= x.dim())
    throw InputError(
        fmt::format("{}: channelwise = {}, but the tensor has rank {}", owner(), axis_, x.dim()));
  const std::int64_t width =
      role_ == Role::kBias ? options_.spec().bias_bits : options_.spec().bits;
  const auto options = [&](torch::ScalarType dtype) { return x.options().dtype(dtype); };
  decimal.set_data(torch::ones({axis_ < 0 ? 1 : x.size(axis_)}, options(torch::kFloat32)));
  n_updates.set_data(torch::zeros({1}, options(torch::kInt32)));
  bits.set_data(torch::full({}, width, options(torch::kInt32)));
  quantized_flag.set_data(torch::zeros({1}, options(torch::kBool)));
}

// The window_size steps up to the next search, and that one itself.
bool QuantizeImpl::collects_at(std::int64_t n) const {
  const QuantizeSpec& spec = options_.spec();
  if (spec.timeout < 0) return false;
  std::int64_t next = spec.timeout;
  if (n > next) {
    if (spec.interval <= 0) return false;
    next += (n - next + spec.interval - 1) / spec.interval * spec.interval;
  }
  return next - n < spec.window_size;
}

void QuantizeImpl::collect(const torch::Tensor& x) {
  const std::int64_t size = options_.spec().window_size;
  const torch::Tensor data = x.detach();
  if (role_ == Role::kActivation) {
    const torch::Tensor head = batch_head(data, size).clone();
    for (std::int64_t i = 0; i < head.size(0); ++i) window.push_back(head.narrow(0, i, 1));
  } else {
    window.push_back(data.clone());  // the optimizer changes weights in place
  }
  while (static_cast<std::int64_t>(window.size()) > size) window.pop_front();
}

bool QuantizeImpl::triggered(std::int64_t n) const {
  const QuantizeSpec& spec = options_.spec();
  if (window.empty() || (quantized() && !is_training())) return false;
  if (n == spec.timeout) return !quantized();
  return spec.interval > 0 && n > spec.timeout && (n - spec.timeout) % spec.interval == 0;
}

// A collected tensor as one row for each decimal, clipped to the extents of x along the other axes.
torch::Tensor QuantizeImpl::channels_of(const torch::Tensor& entry, const torch::Tensor& x) const {
  if (axis_ < 0) return entry.reshape({1, -1});
  torch::Tensor part = entry;
  for (std::int64_t d = 0; d < x.dim(); ++d)
    if (d != axis_) part = part.narrow(d, 0, std::min(part.size(d), x.size(d)));
  if (part.size(axis_) < x.size(axis_))
    throw InputError(
        fmt::format("{}: channelwise = {} needs {} channels, but the collected data have {} there",
                    owner(), axis_, x.size(axis_), part.size(axis_)));
  return part.narrow(axis_, 0, x.size(axis_)).movedim(axis_, 0).reshape({x.size(axis_), -1});
}

// One decimal for each row.
std::vector<float> QuantizeImpl::search_rows(const torch::Tensor& rows) const {
  const QuantizeSpec& spec = options_.spec();
  const int width = bits.item<int>();
  std::vector<std::optional<int>> found;
  if (options_.callback())
    for (std::int64_t i = 0; i < rows.size(0); ++i)
      found.push_back(search_decimal(rows[i], width, spec, options_.callback()));
  else
    found = search_decimals(rows, width, spec);
  std::vector<float> decimals;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (!found[i])
      throw InputError(fmt::format(
          "{}: no decimal from {} to {} has a finite error; the data reach {}", owner(),
          spec.decimal_lo, spec.decimal_hi - 1, worst_value(rows[static_cast<std::int64_t>(i)])));
    decimals.push_back(static_cast<float>(*found[i]));
  }
  return decimals;
}

void QuantizeImpl::search(const torch::Tensor& x) {
  if (static_cast<std::int64_t>(window.size()) < options_.spec().window_size)
    log_line(LogKind::kWarning,
             fmt::format("window is not full when quantization, this will cause performance "
                         "degradation! (window has {} elements while window_size parameter is {})",
                         window.size(), options_.spec().window_size));
  if (axis_ >= 0 && x.size(axis_) != decimal.numel())
    throw InputError(fmt::format("{}: {} channels, but its decimals are for {}", owner(),
                                 x.size(axis_), decimal.numel()));
  std::vector<torch::Tensor> pieces;
  for (const torch::Tensor& entry : window) pieces.push_back(channels_of(entry, x));
  const std::vector<float> found = search_rows(torch::cat(pieces, 1));
  decimal.copy_(torch::tensor(found, torch::kFloat32));
  quantized_flag.fill_(true);
  const std::string name = label().empty() ? "[Quantize]" : fmt::format("[Quantize @ {}]", label());
  log_line(LogKind::kProgress,
           axis_ < 0 ? fmt::format("{} decimal = {}", name, static_cast<std::int64_t>(found[0]))
                     : fmt::format("{} (channelwise) avg decimal = {}", name,
                                   repr(decimal.mean().item<float>())));
}

// One step of the schedule: create the state, collect, search.
void QuantizeImpl::advance(const torch::Tensor& x) {
  const torch::NoGradGuard state_has_no_gradient;
  if (role_ == Role::kActivation && axis_ == 0 && x.dim() > 0 && x.size(0) != 1)
    throw InputError(
        fmt::format("{}: channelwise = 0 is the batch axis of an activation, and a decimal per "
                    "sample means nothing to other samples; the batch has {}. Use 1 (channels) or "
                    "-1 (one decimal)",
                    owner(), x.size(0)));
  if (!initialised()) initialise(x);
  const std::int64_t n = n_updates.item<std::int64_t>();
  if (!collects_at(n)) return window.clear();
  collect(x);
  if (!triggered(n)) return;
  search(x);
  if (!collects_at(n + 1)) window.clear();
}

torch::Tensor QuantizeImpl::transform(const torch::Tensor& x, const AroundQuantize& around) const {
  if (!quantized()) return around.relu == Relu::kAfter ? x.relu() : x;
  const bool per_channel = axis_ >= 0 && decimal.numel() > 1;
  if (per_channel && (axis_ >= x.dim() || x.size(axis_) != decimal.numel()))
    throw InputError(
        fmt::format("{}: {} decimals for axis {} of an input of shape [{}]; quantization by "
                    "channel needs one for each index",
                    owner(), decimal.numel(), axis_, fmt::join(x.sizes(), ", ")));
  const int width = bits.item<int>();
  if (options_.callback()) {
    const torch::Tensor y = options_.callback()(x, width, decimal, axis_);
    return around.relu == Relu::kAfter ? y.relu() : y;
  }
  bool fits = true;
  torch::Tensor y =
      linear_quantize(x, decimal, width, axis_, options_.spec().rounding, &fits, around);
  if (!fits)
    throw InputError(
        fmt::format("{}: value {} times 2^decimal does not fit int32 (decimals {} to "
                    "{})",
                    owner(), worst_value(input_of_q(x, around)), decimal.min().item<float>(),
                    decimal.max().item<float>()));
  return y;
}

torch::Tensor QuantizeImpl::clamped_gradient(const torch::Tensor& gradient) const {
  return quantized() ? clamp_gradient(gradient, decimal, bits.item<int>(), axis_) : gradient;
}

torch::Tensor QuantizeImpl::forward(const torch::Tensor& x) { return forward_around(x, {}); }

torch::Tensor QuantizeImpl::forward_around(const torch::Tensor& input, AroundQuantize around) {
  const bool frozen = FreezeGuard::is_active();
  if (role_ != Role::kActivation && SharedBatch::is_active()) around.range = GradientRange::kOpen;
  const bool looks_at_data = !frozen && (!initialised() || collects_at(n_updates.item<int>()));
  torch::Tensor x = input;
  if (looks_at_data || !quantized() || options_.callback()) {
    if (around.relu == Relu::kBefore) x = x.relu(), around.relu = Relu::kNone;
    if (around.mask.defined()) x = apply_mask(x, std::exchange(around.mask, {}));
  }
  if (frozen) return transform(x, around);
  advance(x);
  torch::Tensor y = transform(x, around);
  if (is_training()) {
    const torch::NoGradGuard state_has_no_gradient;
    n_updates.add_(1);
  }
  return y;
}

}  // namespace lockstep::train
