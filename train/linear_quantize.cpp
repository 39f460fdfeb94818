#include "train/linear_quantize.h"

#include <torch/autograd.h>

#include <atomic>
#include <cmath>

#include "compile/support/error.h"
#include "train/parallel.h"

namespace lockstep::train {
namespace {

std::int64_t elements_behind(const torch::Tensor& x, std::int64_t axis) {
  std::int64_t inner = 1;
  for (std::int64_t d = axis + 1; d < x.dim(); ++d) inner *= x.size(d);
  return std::max<std::int64_t>(inner, 1);
}

// The axis of the channels; -1 when there is one decimal for all.
std::int64_t channel_axis(const torch::Tensor& x, const torch::Tensor& decimals,
                          std::int64_t axis) {
  if (decimals.numel() == 1) return -1;
  const std::int64_t found = axis < 0 ? x.dim() - 1 : axis;
  if (decimals.numel() == 0 || found >= x.dim() || x.size(found) != decimals.numel())
    throw InputError("channel of input and decimal must be equal in channel-wise quantization");
  return found;
}

FakeQuantizer make_quantizer(const torch::Tensor& x, const torch::Tensor& decimals, int bits,
                             std::int64_t axis, Rounding rounding) {
  const torch::Tensor values = decimals.to(torch::kFloat32).contiguous();
  const std::span<const float> span(values.data_ptr<float>(),
                                    static_cast<std::size_t>(values.numel()));
  const std::int64_t channels = channel_axis(x, decimals, axis);
  return {span, bits, rounding, channels < 0 ? 1 : elements_behind(x, channels)};
}

// A mask as the loops take it; `storage` keeps it alive.
RepeatedMask repeated_mask(const torch::Tensor& mask, const torch::Tensor& x,
                           torch::Tensor& storage) {
  if (!mask.defined()) return {};
  const auto leading = static_cast<std::size_t>(x.dim() - mask.dim());
  storage = mask.expand(x.sizes().slice(leading)).contiguous();
  return {reinterpret_cast<const std::uint8_t*>(storage.data_ptr<bool>()), storage.numel()};
}

torch::Tensor quantize_on_cpu(const torch::Tensor& x, const torch::Tensor& decimals, int bits,
                              std::int64_t axis, Rounding rounding, bool* fits,
                              const AroundQuantize& around) {
  const FakeQuantizer q = make_quantizer(x, decimals, bits, axis, rounding);
  const torch::Tensor in = x.to(torch::kFloat32).contiguous();
  torch::Tensor out = torch::empty_like(in), storage;
  const FakeQuantizer::Around loops_around = {repeated_mask(around.mask, in, storage), around.relu};
  const float* source = in.data_ptr<float>();
  float* target = out.data_ptr<float>();
  std::atomic<bool> all_fit = true;
  for_each_range(in.numel(), [&](std::int64_t begin, std::int64_t end) {
    if (!q.forward(loops_around, source, target, begin, end)) all_fit = false;
  });
  if (fits != nullptr) *fits = all_fit;
  return out;
}

torch::Tensor gradient_on_cpu(const torch::Tensor& incoming, const torch::Tensor& gate,
                              const torch::Tensor& decimals, int bits, std::int64_t axis,
                              const AroundQuantize& around) {
  const torch::Tensor gy = incoming.contiguous();
  const FakeQuantizer q = make_quantizer(gy, decimals, bits, axis, Rounding::kTowardZero);
  torch::Tensor gx = torch::empty_like(gy), storage;
  const FakeQuantizer::Around loops_around = {repeated_mask(around.mask, gy, storage), around.relu};
  const float* source = gy.data_ptr<float>();
  const torch::Tensor gates =
      around.relu == Relu::kNone ? torch::Tensor() : gate.to(torch::kFloat32).contiguous();
  const float* gate_values = gates.defined() ? gates.data_ptr<float>() : nullptr;
  float* target = gx.data_ptr<float>();
  for_each_range(gy.numel(), [&](std::int64_t begin, std::int64_t end) {
    q.backward(loops_around, source, gate_values, target, begin, end);
  });
  return gx;
}

// Both ways of the gradient write into a tensor of their own: the incoming one may be shared with
// another branch.
struct QuantizeFunction : torch::autograd::Function<QuantizeFunction> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& decimals, std::int64_t bits, std::int64_t axis,
                               std::int64_t rounding, bool* fits,
                               const c10::optional<torch::Tensor>& given_mask, std::int64_t relu,
                               std::int64_t range) {
    const torch::Tensor mask = given_mask.value_or(torch::Tensor());
    const auto place = static_cast<Relu>(relu);
    context->saved_data["decimals"] = decimals;
    context->saved_data["bits"] = bits;
    context->saved_data["axis"] = axis;
    context->saved_data["relu"] = relu;
    context->saved_data["range"] = range;
    const auto quantize = x.is_cpu() ? quantize_on_cpu : tensor_ops::quantize;
    torch::Tensor y = quantize(x, decimals, static_cast<int>(bits), axis,
                               static_cast<Rounding>(rounding), fits, {mask, place});
    const torch::Tensor gates[] = {torch::Tensor(), x, y};  // in the order of Relu
    context->save_for_backward({mask, gates[relu]});
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const auto range = static_cast<GradientRange>(context->saved_data["range"].toInt());
    torch::autograd::variable_list of_arguments(9);  // forward's; only x has one
    if (range == GradientRange::kOpen) {
      of_arguments[0] = saved[0].defined() ? apply_mask(gradients[0], saved[0]) : gradients[0];
      return of_arguments;
    }
    const auto gradient = gradients[0].is_cpu() ? gradient_on_cpu : tensor_ops::quantize_gradient;
    of_arguments[0] = gradient(gradients[0], saved[1], context->saved_data["decimals"].toTensor(),
                               static_cast<int>(context->saved_data["bits"].toInt()),
                               context->saved_data["axis"].toInt(),
                               {saved[0], static_cast<Relu>(context->saved_data["relu"].toInt())});
    return of_arguments;
  }
};

torch::Tensor mask_on_cpu(const torch::Tensor& x, const torch::Tensor& mask) {
  const torch::Tensor in = x.contiguous();
  torch::Tensor out = torch::empty_like(in), storage;
  const RepeatedMask repeated = repeated_mask(mask, in, storage);
  const float* source = in.data_ptr<float>();
  float* target = out.data_ptr<float>();
  for_each_range(in.numel(), [&](std::int64_t begin, std::int64_t end) {
    multiply_mask(repeated, source, target, begin, end);
  });
  return out;
}

struct MaskFunction : torch::autograd::Function<MaskFunction> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& mask) {
    context->save_for_backward({mask});
    return mask_on_cpu(x, mask);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    // By apply_mask, so that it has a gradient, too.
    return {apply_mask(gradients[0], context->get_saved_variables()[0]), {}};
  }
};

}  // namespace

torch::Tensor linear_quantize(const torch::Tensor& x, const torch::Tensor& decimals, int bits,
                              std::int64_t axis, Rounding rounding, bool* fits,
                              const AroundQuantize& around) {
  LOCKSTEP_ASSERT(around.range == GradientRange::kClamped || around.relu == Relu::kNone);
  return QuantizeFunction::apply(x, decimals, bits, axis, static_cast<std::int64_t>(rounding), fits,
                                 c10::optional<torch::Tensor>(around.mask),
                                 static_cast<std::int64_t>(around.relu),
                                 static_cast<std::int64_t>(around.range));
}

torch::Tensor clamp_gradient(const torch::Tensor& gradient, const torch::Tensor& decimals, int bits,
                             std::int64_t axis) {
  const auto clamp = gradient.is_cpu() ? gradient_on_cpu : tensor_ops::quantize_gradient;
  return clamp(gradient, {}, decimals, bits, axis, {});
}

torch::Tensor apply_mask(const torch::Tensor& x, const torch::Tensor& mask) {
  if (x.is_cpu() && x.scalar_type() == torch::kFloat32) return MaskFunction::apply(x, mask);
  return x * mask.to(x.scalar_type());
}

namespace tensor_ops {
namespace {

// factor * 2^(sign * decimal), rounded to float32, in a shape that broadcasts to x's.
torch::Tensor powers(const torch::Tensor& x, const torch::Tensor& decimals, std::int64_t axis,
                     double factor, int sign) {
  const torch::Tensor exponents = decimals.to(torch::kCPU, torch::kFloat64).contiguous();
  torch::Tensor found = torch::empty({exponents.numel()}, torch::kFloat32);
  for (std::int64_t i = 0; i < exponents.numel(); ++i)
    found.data_ptr<float>()[i] =
        static_cast<float>(factor * std::exp2(sign * exponents.data_ptr<double>()[i]));
  const std::int64_t channels = channel_axis(x, decimals, axis);
  std::vector<std::int64_t> shape;
  if (channels >= 0) {
    shape.assign(static_cast<std::size_t>(x.dim()), 1);
    shape[static_cast<std::size_t>(channels)] = exponents.numel();
  }
  return found.view(shape).to(x.device());
}

torch::Tensor rounded(const torch::Tensor& x, Rounding rounding) {
  switch (rounding) {
    case Rounding::kTowardZero:
      return x.trunc();
    case Rounding::kFloor:
      return x.floor();
    case Rounding::kHalfEven:
      return x.round();
  }
  LOCKSTEP_ASSERT(false);
}

}  // namespace

torch::Tensor quantize(const torch::Tensor& x, const torch::Tensor& decimals, int bits,
                       std::int64_t axis, Rounding rounding, bool* fits,
                       const AroundQuantize& around) {
  torch::Tensor in = x.to(torch::kFloat32);
  if (around.relu == Relu::kBefore) in = in.relu();
  const torch::Tensor kept = around.mask.defined() ? in * around.mask.to(torch::kFloat32) : in;
  const torch::Tensor product = kept * powers(in, decimals, axis, 1, 1);
  const torch::Tensor below_end = product < 0x1p31;
  if (fits != nullptr) *fits = below_end.logical_and(product >= -0x1p31).all().item<bool>();
  const CodeRange codes = code_range(bits);
  const double lo = around.relu == Relu::kAfter ? 0.0 : codes.lo;
  const torch::Tensor clamped =
      torch::where(below_end, product, torch::full_like(product, lo)).clamp(lo, codes.hi);
  // Adding 0 makes +0 of -0.
  return (rounded(clamped, rounding) + 0.0) * powers(in, decimals, axis, 1, -1);
}

torch::Tensor quantize_gradient(const torch::Tensor& gy, const torch::Tensor& gate,
                                const torch::Tensor& decimals, int bits, std::int64_t axis,
                                const AroundQuantize& around) {
  const CodeRange codes = code_range(bits);
  const torch::Tensor g =
      around.relu == Relu::kNone ? gy : torch::where(gate <= 0, torch::zeros_like(gy), gy);
  const torch::Tensor clamped =
      torch::minimum(torch::maximum(g, powers(gy, decimals, axis, codes.lo, -1)),
                     powers(gy, decimals, axis, codes.hi, -1));
  return around.mask.defined() ? clamped * around.mask.to(torch::kFloat32) : clamped;
}

}  // namespace tensor_ops

}  // namespace lockstep::train
