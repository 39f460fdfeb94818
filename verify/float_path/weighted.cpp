// Layers with parameters that training moves: convolutions and matrix products with the masked,
// fake-quantized weight, the bias added to the complete sum, and batch norms as one product and one
// sum.
#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>

#include "compile/support/error.h"
#include "verify/float_path/layers.h"

namespace lockstep::verify {
namespace {

using torch::Tensor;

Tensor effective_weight(const Node& node, const NodeParameters& parameters) {
  Tensor weight =
      torch::tensor(parameters.weight, torch::kFloat32).reshape(parameters.weight_shape);
  if (parameters.weight_mask) weight = weight * mask_tensor(*parameters.weight_mask);
  if (const QuantizeSpec* spec = node.weight_quantize();
      spec != nullptr && parameters.weight_quantize)
    weight = fake_quantize(weight, *parameters.weight_quantize, spec->rounding, spec->channelwise);
  return weight;
}

// Undefined without a bias; one value per output channel otherwise.
Tensor effective_bias(const Node& node, const NodeParameters& parameters) {
  if (parameters.bias.empty()) return {};
  const Tensor bias = torch::tensor(parameters.bias, torch::kFloat32);
  if (!parameters.bias_quantize) return bias;
  return fake_quantize(bias, *parameters.bias_quantize, node.weight_quantize()->rounding, 0);
}

// One value per channel, shaped for a tensor of rank `rank`.
Tensor per_channel(const Tensor& values, std::int64_t rank) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(rank), 1);
  shape.at(1) = -1;
  return values.reshape(shape);
}

// sum(x, weight), both of `type`, and then the bias: a quantized one in that type, any other in
// float32.
template <typename Sum>
Layer sum_and_bias(const Node& node, const NodeParameters& parameters, torch::ScalarType type,
                   Sum sum) {
  const torch::ScalarType bias_type = parameters.bias_quantize ? type : torch::kFloat32;
  Tensor bias = effective_bias(node, parameters);
  if (bias.defined()) bias = bias.to(bias_type);
  const bool along_last_axis = node.op == "linear";
  return of_one_input([type, bias_type, along_last_axis, bias = std::move(bias),
                       sum = std::move(sum),
                       weight = effective_weight(node, parameters).to(type)](const Tensor& x) {
    const Tensor total = sum(x.to(type), weight);
    if (!bias.defined()) return total;
    return total.to(bias_type) + (along_last_axis ? bias : per_channel(bias, total.dim()));
  });
}

Layer make_convolution(const Node& node, const NodeParameters& parameters, torch::ScalarType type,
                       bool two_axes) {
  return sum_and_bias(
      node, parameters, type,
      [two_axes, stride = node.integers("stride"), padding = node.integers("padding"),
       dilation = node.integers("dilation"),
       groups = node.integer("groups")](const Tensor& x, const Tensor& weight) {
        return two_axes ? torch::conv2d(x, weight, {}, stride, padding, dilation, groups)
                        : torch::conv1d(x, weight, {}, stride, padding, dilation, groups);
      });
}

Layer make_transposed(const Node& node, const NodeParameters& parameters, torch::ScalarType type,
                      bool two_axes) {
  return sum_and_bias(
      node, parameters, type,
      [two_axes, stride = node.integers("stride"), padding = node.integers("padding"),
       more = node.integers("output_padding"), dilation = node.integers("dilation"),
       groups = node.integer("groups")](const Tensor& x, const Tensor& weight) {
        return two_axes
                   ? torch::conv_transpose2d(x, weight, {}, stride, padding, more, groups, dilation)
                   : torch::conv_transpose1d(x, weight, {}, stride, padding, more, groups,
                                             dilation);
      });
}

Layer make_linear(const Node& node, const NodeParameters& parameters, torch::ScalarType type) {
  return sum_and_bias(node, parameters, type, [](const Tensor& x, const Tensor& weight) {
    return torch::matmul(x, weight.t());
  });
}

Layer make_batch_norm(const Node& node, const BatchNormParameters& norm) {
  std::vector<float> alpha, beta;
  for (std::size_t c = 0; c < norm.weight.size(); ++c) {
    const double spread = double{norm.running_var[c]} + node.number("eps");
    if (!(spread > 0))
      throw InputError(fmt::format("layer '{}': channel {} has variance {} and eps {}", node.name,
                                   c, norm.running_var[c], node.number("eps")));
    const double scale = double{norm.weight[c]} / std::sqrt(spread);
    alpha.push_back(static_cast<float>(scale));
    beta.push_back(static_cast<float>(double{norm.bias[c]} - double{norm.running_mean[c]} * scale));
  }
  return of_one_input([alpha = torch::tensor(alpha, torch::kFloat32),
                       beta = torch::tensor(beta, torch::kFloat32)](const Tensor& x) {
    const Tensor scaled = x * per_channel(alpha, x.dim());
    return scaled + per_channel(beta, x.dim());
  });
}

}  // namespace

Layer make_weighted_layer(const Node& node, const NodeParameters& parameters,
                          torch::ScalarType type) {
  if (node.op == "conv1d") return make_convolution(node, parameters, type, false);
  if (node.op == "conv2d") return make_convolution(node, parameters, type, true);
  if (node.op == "conv_transpose1d") return make_transposed(node, parameters, type, false);
  if (node.op == "conv_transpose2d") return make_transposed(node, parameters, type, true);
  if (node.op == "linear") return make_linear(node, parameters, type);
  if (parameters.batch_norm) return make_batch_norm(node, *parameters.batch_norm);
  return {};
}

}  // namespace lockstep::verify
