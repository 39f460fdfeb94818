#include "tools/bench/tensor_op_layers.h"

#include <torch/torch.h>

#include <cmath>

namespace lockstep::bench {
namespace {

// The scale per tensor, or per channel in a shape that broadcasts along `axis`.
torch::Tensor scale_for(const torch::Tensor& x, const torch::Tensor& decimals, std::int64_t axis) {
  torch::Tensor scale = torch::pow(2.0, decimals);
  if (decimals.numel() == 1) return scale;
  std::vector<std::int64_t> shape(static_cast<std::size_t>(x.dim()), 1);
  shape[static_cast<std::size_t>(axis < 0 ? x.dim() - 1 : axis)] = -1;
  return scale.view(shape);
}

torch::Tensor quantized(const torch::Tensor& x, const torch::Tensor& scale, std::int64_t bits) {
  const std::int64_t hi = (std::int64_t{1} << (bits - 1)) - 1, lo = -hi - 1;
  return (x * scale).to(torch::kInt32).clamp(lo, hi).to(torch::kFloat32) / scale;
}

struct StraightThrough : torch::autograd::Function<StraightThrough> {
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& decimals, std::int64_t bits,
                               std::int64_t axis) {
    const torch::Tensor scale = scale_for(x, decimals, axis);
    context->save_for_backward({scale});
    context->saved_data["bits"] = bits;
    return quantized(x, scale, bits);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const torch::Tensor scale = context->get_saved_variables()[0];
    const double hi =
        std::ldexp(1.0, static_cast<int>(context->saved_data["bits"].toInt()) - 1) - 1;
    const torch::Tensor high = hi / scale, low = (-hi - 1) / scale;
    return {torch::minimum(torch::maximum(gradients[0], low), high), {}, {}, {}};
  }
};

}  // namespace

torch::Tensor tensor_op_quantize(const torch::Tensor& x, std::int64_t bits,
                                 const torch::Tensor& decimals, std::int64_t axis) {
  return StraightThrough::apply(x, decimals, bits, axis);
}

std::vector<int> tensor_op_search(const torch::Tensor& rows, std::int64_t bits, int lo, int hi) {
  std::vector<int> found;
  for (std::int64_t i = 0; i < rows.size(0); ++i) {
    const torch::Tensor data = rows[i].reshape(-1);
    int best = lo;
    double least = INFINITY;
    for (int n = lo; n < hi; ++n) {
      const torch::Tensor scale = torch::full({1}, std::ldexp(1.0, n));
      const double error = (data - quantized(data, scale, bits)).square().sum().item<float>();
      if (error < least) least = error, best = n;
    }
    found.push_back(best);
  }
  return found;
}

}  // namespace lockstep::bench
