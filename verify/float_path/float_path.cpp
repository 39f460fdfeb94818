// The canonical float path: what LibTorch computes in eval mode, in float32, in this order of
// operations: convolution or matrix product with the fake-quantized, masked weight; then the
// fake-quantized bias with one rounding; then whatever nodes follow. Written from
// docs/arithmetic.md with LibTorch's own operators, apart from what trains the network and from the
// exact integer semantics.
#include <ATen/Context.h>
#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>
#include <functional>
#include <map>

#include "compile/checkpoint/parameters.h"
#include "compile/support/error.h"
#include "verify/verify.h"

namespace lockstep::verify {
namespace {

using torch::Tensor;

// 2^(sign * decimal) for each decimal, shaped so that it broadcasts along `axis` of a tensor of
// rank `rank`.
Tensor powers_of_two(const std::vector<int>& decimals, int sign, std::int64_t axis,
                     std::int64_t rank) {
  std::vector<float> values;
  for (const int decimal : decimals) values.push_back(std::ldexp(1.0F, sign * decimal));
  const Tensor flat = torch::tensor(values, torch::kFloat32);
  if (decimals.size() == 1) return flat;
  std::vector<std::int64_t> shape(static_cast<std::size_t>(rank), 1);
  shape[static_cast<std::size_t>(axis)] = static_cast<std::int64_t>(decimals.size());
  return flat.reshape(shape);
}

// clamp(round(x * 2^decimal)) * 2^-decimal. Every product is exact: it moves an exponent.
Tensor fake_quantize(const Tensor& x, const QuantizeParameters& quantize, Rounding rounding,
                     std::int64_t axis) {
  const Tensor scaled = x * powers_of_two(quantize.decimals, 1, axis, x.dim());
  const Tensor rounded = rounding == Rounding::kTowardZero ? torch::trunc(scaled)
                         : rounding == Rounding::kFloor    ? torch::floor(scaled)
                                                           : torch::round(scaled);  // half to even
  const double highest = std::ldexp(1.0, quantize.bits - 1);
  const Tensor codes = torch::clamp(rounded, -highest, highest - 1);
  return codes * powers_of_two(quantize.decimals, -1, axis, x.dim());
}

Tensor mask_tensor(const MaskParameters& mask) {
  std::vector<float> keep(mask.keep.begin(), mask.keep.end());
  return torch::tensor(keep, torch::kFloat32).reshape(mask.shape);
}

// A node as a function of its input.
using Layer = std::function<Tensor(const Tensor&)>;

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

Layer make_conv2d(const Node& node, const NodeParameters& parameters) {
  const Tensor weight = effective_weight(node, parameters);
  Tensor bias = effective_bias(node, parameters);
  if (bias.defined()) bias = bias.reshape({1, -1, 1, 1});
  return [weight, bias, stride = node.integers("stride"), padding = node.integers("padding"),
          dilation = node.integers("dilation"), groups = node.integer("groups")](const Tensor& x) {
    const Tensor sum = torch::conv2d(x, weight, {}, stride, padding, dilation, groups);
    return bias.defined() ? sum + bias : sum;
  };
}

Layer make_linear(const Node& node, const NodeParameters& parameters) {
  const Tensor weight = effective_weight(node, parameters);
  const Tensor bias = effective_bias(node, parameters);
  return [weight, bias](const Tensor& x) {
    const Tensor sum = torch::matmul(x, weight.t());
    return bias.defined() ? sum + bias : sum;
  };
}

Layer make_max_pool2d(const Node& node) {
  return [kernel = node.integers("kernel_size"), stride = node.integers("stride"),
          padding = node.integers("padding"), dilation = node.integers("dilation"),
          ceil_mode = node.flag("ceil_mode")](const Tensor& x) {
    return torch::max_pool2d(x, kernel, stride, padding, dilation, ceil_mode);
  };
}

Layer make_layer(const Node& node, const NodeParameters& parameters) {
  if (node.op == "conv2d") return make_conv2d(node, parameters);
  if (node.op == "linear") return make_linear(node, parameters);
  if (node.op == "max_pool2d") return make_max_pool2d(node);
  if (node.op == "relu") return [](const Tensor& x) { return torch::relu(x); };
  if (node.op == "flatten") return [](const Tensor& x) { return torch::flatten(x, 1); };
  if (node.op == "dropout" || node.op == "identity") return [](const Tensor& x) { return x; };
  if (node.op == "prune")
    return [mask = mask_tensor(*parameters.mask)](const Tensor& x) { return x * mask; };
  if (node.op == "quantize")
    return [quantize = *parameters.quantize, rounding = node.quantize->rounding,
            axis = node.quantize->channelwise](const Tensor& x) {
      return fake_quantize(x, quantize, rounding, axis);
    };
  throw InputError(
      fmt::format("layer '{}': the float path knows no operator '{}'", node.name, node.op));
}

// NNPACK's convolutions transform their inputs (Winograd, Fourier) and round where a plain sum of
// products would not. Later LibTorch has a switch; an earlier one must have been built without it,
// as Debian's is.
template <typename Context>
void switch_off_nnpack(Context& context) {
  if constexpr (requires { context.setUserEnabledNNPACK(false); }) {
    context.setUserEnabledNNPACK(false);
  } else if (at::_nnpack_available()) {
    throw InputError(
        "float path: this LibTorch convolves with NNPACK, which is not exact, and cannot switch it "
        "off; use Debian's libtorch");
  }
}

class TorchFloatPath final : public FloatPath {
 public:
  TorchFloatPath(const Graph& graph, const StateDict& state) : graph_(graph) {
    switch_off_nnpack(at::globalContext());
    const torch::InferenceMode inference;
    const Parameters parameters = bind_parameters(graph, state);
    for (const Node& node : graph_.nodes) layers_.push_back(make_layer(node, parameters.of(node)));
  }

  std::vector<std::vector<float>> run(const Batch& batch, std::int64_t samples,
                                      std::span<const std::string> nodes) override {
    const torch::InferenceMode inference;
    std::map<std::string, Tensor, std::less<>> values;
    for (std::size_t i = 0; i < graph_.inputs.size(); ++i)
      values[graph_.inputs[i].name] = input_tensor(batch.at(i), samples);
    for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
      const Node& node = graph_.nodes[n];
      try {
        values[node.name] = layers_[n](values.at(node.inputs.at(0)));
      } catch (const c10::Error& error) {
        throw InputError(
            fmt::format("layer '{}': LibTorch: {}", node.name, first_line(error.msg())));
      }
    }
    std::vector<std::vector<float>> results;
    for (const std::string& name : nodes) {
      const Tensor value = values.at(name).contiguous();
      const float* data = value.data_ptr<float>();
      results.emplace_back(data, data + value.numel());
    }
    return results;
  }

 private:
  static Tensor input_tensor(const TensorCodes& input, std::int64_t samples) {
    std::vector<std::int64_t> shape = {samples};
    shape.insert(shape.end(), input.shape.begin(), input.shape.end());
    Tensor tensor = torch::empty(shape, torch::kFloat32);
    LOCKSTEP_ASSERT(tensor.numel() == static_cast<std::int64_t>(input.codes.size()));
    LOCKSTEP_ASSERT(input.decimals.size() == 1);
    const float step = std::ldexp(1.0F, -input.decimals[0]);
    float* values = tensor.data_ptr<float>();
    for (std::size_t i = 0; i < input.codes.size(); ++i)
      values[i] = static_cast<float>(input.codes[i]) * step;
    return tensor;
  }

  static std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

  Graph graph_;
  std::vector<Layer> layers_;  // one per node
};

}  // namespace

std::unique_ptr<FloatPath> make_float_path(const Graph& graph, const StateDict& state) {
  return std::make_unique<TorchFloatPath>(graph, state);
}

}  // namespace lockstep::verify
