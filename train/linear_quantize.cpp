#include "train/linear_quantize.h"

#include <ATen/Parallel.h>
#include <torch/autograd.h>

#include <atomic>

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

}  // namespace

torch::Tensor linear_quantize(const torch::Tensor& x, const torch::Tensor& decimals, int bits,
                              std::int64_t axis, Rounding rounding, bool* fits) {
  return QuantizeFunction::apply(x, decimals, bits, axis, static_cast<std::int64_t>(rounding),
                                 fits);
}

}  // namespace lockstep::train
