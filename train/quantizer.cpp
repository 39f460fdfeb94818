#include "train/quantizer.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <atomic>
#include <cmath>

#include "compile/support/error.h"
#include "train/fake_quantize.h"

namespace lockstep::train {
namespace {

constexpr std::int64_t kGrain = 1 << 15;  // elements per task; below that a thread costs more

std::int64_t elements_behind(const torch::Tensor& x, std::int64_t axis) {
  std::int64_t inner = 1;
  for (std::int64_t d = axis + 1; d < x.dim(); ++d) inner *= x.size(d);
  return std::max<std::int64_t>(inner, 1);
}

std::vector<float> to_floats(const torch::Tensor& decimals) {
  const torch::Tensor f = decimals.to(torch::kFloat32).contiguous();
  return {f.data_ptr<float>(), f.data_ptr<float>() + f.numel()};
}

FakeQuantizer make_quantizer(const torch::Tensor& x, const torch::Tensor& decimals, int bits,
                             std::int64_t axis, Rounding rounding) {
  const std::vector<float> values = to_floats(decimals);
  if (values.size() == 1) return {values, bits, rounding};
  const std::int64_t channel_axis = axis < 0 ? x.dim() - 1 : axis;
  if (values.empty() || channel_axis >= x.dim() ||
      x.size(channel_axis) != static_cast<std::int64_t>(values.size()))
    throw InputError("channel of input and decimal must be equal in channel-wise quantization");
  return {values, bits, rounding, elements_behind(x, channel_axis)};
}

struct QuantizeFunction : torch::autograd::Function<QuantizeFunction> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& decimals, std::int64_t bits, std::int64_t axis,
                               std::int64_t rounding, bool* fits) {
    context->saved_data["decimals"] = decimals;
    context->saved_data["bits"] = bits;
    context->saved_data["axis"] = axis;
    const FakeQuantizer q =
        make_quantizer(x, decimals, static_cast<int>(bits), axis, static_cast<Rounding>(rounding));
    const torch::Tensor in = x.to(torch::kFloat32).contiguous();
    torch::Tensor out = torch::empty_like(in);
    const float* source = in.data_ptr<float>();
    float* target = out.data_ptr<float>();
    std::atomic<bool> all_fit = true;
    at::parallel_for(0, in.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      if (!q.forward(source, target, begin, end)) all_fit = false;
    });
    if (fits != nullptr) *fits = all_fit;
    return out;
  }

  // Writes into a tensor of its own: the incoming gradient may be shared with another branch.
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const torch::Tensor gy = gradients[0].contiguous();
    const FakeQuantizer q =
        make_quantizer(gy, context->saved_data["decimals"].toTensor(),
                       static_cast<int>(context->saved_data["bits"].toInt()),
                       context->saved_data["axis"].toInt(), Rounding::kTowardZero);
    torch::Tensor gx = torch::empty_like(gy);
    const float* source = gy.data_ptr<float>();
    float* target = gx.data_ptr<float>();
    at::parallel_for(0, gy.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      q.backward(source, target, begin, end);
    });
    return {gx, {}, {}, {}, {}, {}};
  }
};

// torch.quantile accepts 2^24 elements; more are averaged over chunks of that size, of which the
// last is the last 2^24 elements, as QSPARSE does.
double chunked_quantile(const torch::Tensor& flat, double q) {
  constexpr std::int64_t kChunk = 1 << 24;
  const std::int64_t n = flat.numel();
  if (n <= kChunk) return torch::quantile(flat, q).item<float>();
  std::vector<torch::Tensor> parts;
  for (std::int64_t begin = 0; begin < n; begin += kChunk)
    parts.push_back(torch::quantile(flat.narrow(0, std::min(begin, n - kChunk), kChunk), q));
  return torch::stack(parts).mean().item<float>();
}

// Python's repr of a double.
std::string repr(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

// The largest absolute value, or NaN; for messages.
float worst_value(const torch::Tensor& x) { return x.abs().max().item<float>(); }

}  // namespace

torch::Tensor quantize(const torch::Tensor& x, const torch::Tensor& decimals, int bits,
                       std::int64_t axis, Rounding rounding, bool* fits) {
  return QuantizeFunction::apply(x, decimals, bits, axis, static_cast<std::int64_t>(rounding),
                                 fits);
}

torch::Tensor saturate(const torch::Tensor& data, double lo, double hi) {
  LOCKSTEP_ASSERT(0 <= lo && lo <= hi && hi <= 1);
  if (lo == 0 && hi == 1) return data;
  const torch::Tensor flat = data.reshape(-1);
  return data.clamp(chunked_quantile(flat, lo), chunked_quantile(flat, hi));
}

std::optional<int> search_decimal(const torch::Tensor& data, int bits, const QuantizeSpec& spec,
                                  std::vector<float>* errors) {
  const torch::Tensor flat = saturate(data.reshape(-1), spec.saturate_lo, spec.saturate_hi)
                                 .to(torch::kFloat32)
                                 .contiguous();
  torch::Tensor squares = torch::empty_like(flat);
  const float* source = flat.data_ptr<float>();
  float* target = squares.data_ptr<float>();
  std::optional<int> best;
  float best_error = INFINITY;
  for (std::int64_t n = spec.decimal_lo; n < spec.decimal_hi; ++n) {
    const auto decimal = static_cast<float>(n);
    const FakeQuantizer q({&decimal, 1}, bits, spec.rounding);
    at::parallel_for(0, flat.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      q.squared_error(source, target, begin, end);
    });
    const float error = squares.sum().item<float>();  // LibTorch's order of summation, as QSPARSE
    if (errors != nullptr) errors->push_back(error);
    if (error < best_error) {
      best_error = error;
      best = static_cast<int>(n);
    }
  }
  return best;
}

QuantizeLayer::QuantizeLayer(std::string label, const QuantizeSpec& spec, Role role,
                             LayerContext* context)
    : label_(std::move(label)),
      spec_(spec),
      axis_(role == Role::kBias ? 0 : spec.channelwise),
      role_(role),
      context_(context) {
  if (role == Role::kBias) spec_.bits = spec.bias_bits;
  const auto placeholder = [&](const char* name) {
    return register_parameter(name, torch::full({}, -1, torch::kInt32), false);
  };
  decimal = placeholder("decimal");
  n_updates = placeholder("_n_updates");
  bits = placeholder("bits");
  quantized_flag = placeholder("_quantized");
}

bool QuantizeLayer::initialised() const { return n_updates.item<std::int64_t>() != -1; }

bool QuantizeLayer::quantized() const {
  return quantized_flag.scalar_type() == torch::kBool && quantized_flag.item<bool>();
}

void QuantizeLayer::initialise(const torch::Tensor& x) {
  if (axis_ >= x.dim())
    throw InputError(fmt::format("layer '{}': channelwise = {}, but the tensor has rank {}", label_,
                                 axis_, x.dim()));
  decimal.set_data(torch::ones({axis_ < 0 ? 1 : x.size(axis_)}, torch::kFloat32));
  n_updates.set_data(torch::zeros({1}, torch::kInt32));
  bits.set_data(torch::full({}, spec_.bits, torch::kInt32));
  quantized_flag.set_data(torch::zeros({1}, torch::kBool));
}

void QuantizeLayer::collect(const torch::Tensor& x, std::int64_t n) {
  const bool due = spec_.timeout - spec_.window_size < n && n <= spec_.timeout;
  if (!due) {
    if (spec_.interval <= 0) window.clear();
    return;
  }
  const torch::Tensor data = x.detach();
  if (role_ == Role::kActivation) {
    const torch::Tensor head = data.narrow(0, 0, std::min(spec_.window_size, data.size(0)));
    for (std::int64_t i = 0; i < head.size(0); ++i) window.push_back(head.narrow(0, i, 1));
  } else {
    window.push_back(data.clone());  // the optimizer changes weights in place
  }
  while (static_cast<std::int64_t>(window.size()) > spec_.window_size) window.pop_front();
}

bool QuantizeLayer::triggered(std::int64_t n) const {
  if (window.empty() || (quantized() && !is_training())) return false;
  if (n == spec_.timeout) return !quantized();
  return spec_.interval > 0 && n > spec_.timeout && (n - spec_.timeout) % spec_.interval == 0;
}

void QuantizeLayer::search(const torch::Tensor& x) {
  if (static_cast<std::int64_t>(window.size()) < spec_.window_size)
    context_->events.push_back(
        fmt::format("window is not full when quantization, this will cause performance "
                    "degradation! (window has {} "
                    "elements while window_size parameter is {})",
                    window.size(), spec_.window_size));
  const int width = bits.item<int>();
  const auto find = [&](const torch::Tensor& data) {
    const std::optional<int> found = search_decimal(data, width, spec_);
    if (!found)
      throw InputError(
          fmt::format("layer '{}': no decimal from {} to {} has a finite error; the data "
                      "reach {}",
                      label_, spec_.decimal_lo, spec_.decimal_hi - 1, worst_value(data)));
    return static_cast<float>(*found);
  };
  const auto cut = [&](const torch::Tensor& entry, std::int64_t channel) {
    torch::Tensor part = entry;
    for (std::int64_t d = 0; d < x.dim(); ++d)
      if (d != axis_) part = part.narrow(d, 0, std::min(part.size(d), x.size(d)));
    if (channel >= part.size(axis_))
      throw InputError(
          fmt::format("layer '{}': channelwise = {} needs {} channels, but the collected "
                      "data have {} there",
                      label_, axis_, x.size(axis_), part.size(axis_)));
    return part.select(axis_, channel).reshape(-1);
  };
  std::vector<torch::Tensor> pieces;
  float* decimals = decimal.data_ptr<float>();
  if (axis_ < 0) {
    for (const torch::Tensor& entry : window) pieces.push_back(entry.reshape(-1));
    decimals[0] = find(torch::cat(pieces));
  } else {
    if (x.size(axis_) != decimal.numel())
      throw InputError(fmt::format("layer '{}': {} channels, but its decimals are for {}", label_,
                                   x.size(axis_), decimal.numel()));
    for (std::int64_t channel = 0; channel < x.size(axis_); ++channel) {
      pieces.clear();
      for (const torch::Tensor& entry : window) pieces.push_back(cut(entry, channel));
      decimals[channel] = find(torch::cat(pieces));
    }
  }
  quantized_flag.fill_(true);
  if (axis_ < 0) {
    context_->events.push_back(fmt::format("[Quantize @ {}] decimal = {}", label_,
                                           static_cast<std::int64_t>(decimals[0])));
  } else {
    context_->events.push_back(fmt::format("[Quantize @ {}] (channelwise) avg decimal = {}", label_,
                                           repr(decimal.mean().item<float>())));
  }
}

// One step of the schedule: create the state, collect, search.
void QuantizeLayer::advance(const torch::Tensor& x) {
  const torch::NoGradGuard state_has_no_gradient;
  if (!initialised()) initialise(x);
  const std::int64_t n = n_updates.item<std::int64_t>();
  collect(x, n);
  if (triggered(n)) {
    search(x);
    if (spec_.interval <= 0) window.clear();
  }
}

torch::Tensor QuantizeLayer::transform(const torch::Tensor& x) {
  if (!quantized()) return x;
  const bool per_channel = axis_ >= 0 && decimal.numel() > 1;
  if (decimal.numel() == 0 ||
      (per_channel && (axis_ >= x.dim() || x.size(axis_) != decimal.numel())))
    throw InputError(
        fmt::format("layer '{}': channel of input and decimal must be equal in channel-wise "
                    "quantization; there are "
                    "{} decimals, the input has shape [{}]",
                    label_, decimal.numel(), fmt::join(x.sizes(), ", ")));
  bool fits = true;
  torch::Tensor y = quantize(x, decimal, bits.item<int>(), axis_, spec_.rounding, &fits);
  if (!fits)
    throw InputError(fmt::format(
        "layer '{}': value {} times 2^decimal does not fit int32 (decimals {} to {})", label_,
        worst_value(x), decimal.min().item<float>(), decimal.max().item<float>()));
  return y;
}

// A forward that fails does not count.
torch::Tensor QuantizeLayer::forward(const torch::Tensor& x) {
  if (!context_->frozen) advance(x);
  torch::Tensor y = transform(x);
  if (!context_->frozen && is_training()) {
    const torch::NoGradGuard state_has_no_gradient;
    n_updates.add_(1);
  }
  return y;
}

}  // namespace lockstep::train
