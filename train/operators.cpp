#include "train/operators.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <string_view>

#include "compile/support/error.h"
#include "train/sparse_layers.h"

namespace lockstep::train {
namespace {

// A module with one input.
template <typename Holder>
NodeOperator unary(Holder holder) {
  return {holder.ptr(), [module = holder.ptr()](std::span<const torch::Tensor> inputs) {
            return module->forward(inputs[0]);
          }};
}

// A function with one input, without state.
template <typename Function>
NodeOperator stateless(Function function) {
  return {nullptr, [function = std::move(function)](std::span<const torch::Tensor> inputs) {
            return function(inputs[0]);
          }};
}

// A module with a weight, inside the node's wraps.
template <typename M>
NodeOperator weighted(const Node& node, const torch::nn::ModuleHolder<M>& layer) {
  if (node.wraps.empty()) return unary(layer);
  Sparse<M> sparse(layer.ptr());
  for (const Wrap& wrap : node.wraps) {
    if (const auto* const spec = std::get_if<PruneSpec>(&wrap))
      sparse->wrap(PruneOptions(*spec).name(state_key(node.name, "prune")));
    else
      sparse->wrap(
          QuantizeOptions(std::get<QuantizeSpec>(wrap)).name(state_key(node.name, "quantize")));
  }
  return unary(sparse);
}

template <typename Options>
Options convolution(const Node& node) {
  return Options(node.integer("in_channels"), node.integer("out_channels"),
                 node.integers("kernel_size"))
      .stride(node.integers("stride"))
      .padding(node.integers("padding"))
      .dilation(node.integers("dilation"))
      .groups(node.integer("groups"))
      .bias(node.flag("bias"));
}

template <typename Options>
Options transposed(const Node& node) {
  return convolution<Options>(node).output_padding(node.integers("output_padding"));
}

NodeOperator conv1d(const Node& node) {
  return weighted(node, torch::nn::Conv1d(convolution<torch::nn::Conv1dOptions>(node)));
}

NodeOperator conv2d(const Node& node) {
  return weighted(node, torch::nn::Conv2d(convolution<torch::nn::Conv2dOptions>(node)));
}

NodeOperator conv_transpose1d(const Node& node) {
  return weighted(node,
                  torch::nn::ConvTranspose1d(transposed<torch::nn::ConvTranspose1dOptions>(node)));
}

NodeOperator conv_transpose2d(const Node& node) {
  return weighted(node,
                  torch::nn::ConvTranspose2d(transposed<torch::nn::ConvTranspose2dOptions>(node)));
}

NodeOperator linear(const Node& node) {
  return weighted(node, torch::nn::Linear(torch::nn::LinearOptions(node.integer("in_features"),
                                                                   node.integer("out_features"))
                                              .bias(node.flag("bias"))));
}

torch::nn::BatchNormOptions batch_norm(const Node& node) {
  return torch::nn::BatchNormOptions(node.integer("num_features"))
      .eps(node.number("eps"))
      .momentum(node.number("momentum"));
}

NodeOperator batch_norm1d(const Node& node) {
  return unary(torch::nn::BatchNorm1d(batch_norm(node)));
}

NodeOperator batch_norm2d(const Node& node) {
  return unary(torch::nn::BatchNorm2d(batch_norm(node)));
}

template <typename Options>
Options max_pool(const Node& node) {
  return Options(node.integers("kernel_size"))
      .stride(node.integers("stride"))
      .padding(node.integers("padding"))
      .dilation(node.integers("dilation"))
      .ceil_mode(node.flag("ceil_mode"));
}

template <typename Options>
Options avg_pool(const Node& node) {
  return Options(node.integers("kernel_size"))
      .stride(node.integers("stride"))
      .padding(node.integers("padding"))
      .ceil_mode(node.flag("ceil_mode"))
      .count_include_pad(node.flag("count_include_pad"));
}

NodeOperator max_pool1d(const Node& node) {
  return unary(torch::nn::MaxPool1d(max_pool<torch::nn::MaxPool1dOptions>(node)));
}

NodeOperator max_pool2d(const Node& node) {
  return unary(torch::nn::MaxPool2d(max_pool<torch::nn::MaxPool2dOptions>(node)));
}

NodeOperator avg_pool1d(const Node& node) {
  return unary(torch::nn::AvgPool1d(avg_pool<torch::nn::AvgPool1dOptions>(node)));
}

NodeOperator avg_pool2d(const Node& node) {
  return unary(torch::nn::AvgPool2d(avg_pool<torch::nn::AvgPool2dOptions>(node)));
}

NodeOperator adaptive_avg_pool1d(const Node& node) {
  return stateless([size = node.integers("output_size")](const torch::Tensor& x) {
    return torch::adaptive_avg_pool1d(x, size);
  });
}

NodeOperator adaptive_avg_pool2d(const Node& node) {
  return stateless([size = node.integers("output_size")](const torch::Tensor& x) {
    return torch::adaptive_avg_pool2d(x, size);
  });
}

// `x` with each index of `axis` `factor` times. (F::interpolate multiplies by the rounded 1 /
// factor and misses some indices of a factor like 49.)
torch::Tensor repeated(const torch::Tensor& x, std::int64_t axis, std::int64_t factor) {
  std::vector<std::int64_t> sizes = x.sizes().vec();
  sizes.insert(sizes.begin() + axis + 1, factor);
  return x.unsqueeze(axis + 1).expand(sizes).flatten(axis, axis + 1);
}

// One factor stands for all spatial axes.
NodeOperator upsample(const Node& node) {
  const std::vector<std::int64_t> factors = node.integers("scale_factor");
  if (node.choice("mode") == "bilinear")
    return stateless([factors](const torch::Tensor& x) {
      return torch::upsample_bilinear2d(
          x, {x.size(2) * factors.front(), x.size(3) * factors.back()}, /*align_corners=*/false);
    });
  return stateless([factors](torch::Tensor x) {
    for (std::int64_t axis = 2; axis < x.dim(); ++axis)
      x = repeated(x, axis, axis == 2 ? factors.front() : factors.back());
    return x;
  });
}

NodeOperator pixel_shuffle(const Node& node) {
  return unary(torch::nn::PixelShuffle(node.integer("upscale_factor")));
}

NodeOperator pixel_unshuffle(const Node& node) {
  return unary(torch::nn::PixelUnshuffle(node.integer("downscale_factor")));
}

NodeOperator reshape(const Node& node) {
  return stateless([shape = node.integers("shape")](const torch::Tensor& x) {
    std::vector<std::int64_t> sizes = {x.size(0)};
    sizes.insert(sizes.end(), shape.begin(), shape.end());
    return x.reshape(sizes);
  });
}

NodeOperator transpose(const Node& node) {
  return stateless([a = node.integer("dim0"), b = node.integer("dim1")](const torch::Tensor& x) {
    return x.transpose(a, b).contiguous();
  });
}

NodeOperator slice(const Node& node) {
  return stateless([axis = node.integer("dim"), start = node.integer("start"),
                    end = node.integer("end"), step = node.integer("step")](
                       const torch::Tensor& x) { return x.slice(axis, start, end, step); });
}

NodeOperator pad(const Node& node) {
  namespace F = torch::nn::functional;
  F::PadFuncOptions::mode_t mode = torch::kConstant;
  if (node.choice("mode") == "reflect") mode = torch::kReflect;
  if (node.choice("mode") == "replicate") mode = torch::kReplicate;
  return stateless([padding = node.integers("padding"), mode](const torch::Tensor& x) {
    std::vector<std::int64_t> all = padding;
    all.resize(2 * static_cast<std::size_t>(x.dim() - 2), 0);  // what the other modes insist on
    return F::pad(x, F::PadFuncOptions(all).mode(mode));
  });
}

NodeOperator concat(const Node& node) {
  return {nullptr, [axis = node.integer("dim")](std::span<const torch::Tensor> inputs) {
            return torch::cat(std::vector<torch::Tensor>(inputs.begin(), inputs.end()), axis);
          }};
}

NodeOperator flatten(const Node& node) {
  return unary(torch::nn::Flatten(torch::nn::FlattenOptions()
                                      .start_dim(node.integer("start_dim"))
                                      .end_dim(node.integer("end_dim"))));
}

NodeOperator dropout(const Node& node) { return unary(torch::nn::Dropout(node.number("p"))); }

NodeOperator relu(const Node&) { return unary(torch::nn::ReLU()); }

// An activation without attributes.
template <torch::Tensor (*kFunction)(const torch::Tensor&)>
NodeOperator activation(const Node&) {
  return stateless(kFunction);
}

NodeOperator leaky_relu(const Node& node) {
  return stateless([slope = node.number("negative_slope")](const torch::Tensor& x) {
    return torch::leaky_relu(x, slope);
  });
}

NodeOperator elu(const Node& node) {
  return stateless(
      [alpha = node.number("alpha")](const torch::Tensor& x) { return torch::elu(x, alpha); });
}

NodeOperator gelu(const Node&) {
  return stateless([](const torch::Tensor& x) { return torch::gelu(x); });
}

NodeOperator softplus(const Node& node) {
  return stateless([beta = node.number("beta"), threshold = node.number("threshold")](
                       const torch::Tensor& x) { return torch::softplus(x, beta, threshold); });
}

// The number of the channel that is largest, the first of equal ones. It has no gradient.
NodeOperator argmax(const Node& node) {
  return stateless([axis = node.integer("dim")](const torch::Tensor& x) {
    return torch::argmax(x, axis, true).to(x.dtype());
  });
}

NodeOperator softmax(const Node& node) {
  return stateless(
      [axis = node.integer("dim")](const torch::Tensor& x) { return torch::softmax(x, axis); });
}

NodeOperator log_softmax(const Node& node) {
  return stateless(
      [axis = node.integer("dim")](const torch::Tensor& x) { return torch::log_softmax(x, axis); });
}

NodeOperator identity(const Node&) { return unary(torch::nn::Identity()); }

NodeOperator add(const Node&) {
  return {nullptr, [](std::span<const torch::Tensor> inputs) { return inputs[0] + inputs[1]; }};
}

NodeOperator sub(const Node&) {
  return {nullptr, [](std::span<const torch::Tensor> inputs) { return inputs[0] - inputs[1]; }};
}

NodeOperator mul(const Node&) {
  return {nullptr, [](std::span<const torch::Tensor> inputs) { return inputs[0] * inputs[1]; }};
}

NodeOperator quantize_node(const Node& node) {
  return unary(quantize(QuantizeOptions(*node.quantize).name(node.name)));
}

NodeOperator prune_node(const Node& node) {
  return unary(prune(PruneOptions(*node.prune).name(node.name)));
}

struct Row {
  std::string_view op;
  NodeOperator (*make)(const Node& node);
};
constexpr Row kRows[] = {
    {"conv1d", conv1d},
    {"conv2d", conv2d},
    {"conv_transpose1d", conv_transpose1d},
    {"conv_transpose2d", conv_transpose2d},
    {"linear", linear},
    {"batch_norm1d", batch_norm1d},
    {"batch_norm2d", batch_norm2d},
    {"relu", relu},
    {"relu6", activation<torch::relu6>},
    {"leaky_relu", leaky_relu},
    {"hard_sigmoid", activation<torch::hardsigmoid>},
    {"hard_swish", activation<torch::hardswish>},
    {"tanh", activation<torch::tanh>},
    {"sigmoid", activation<torch::sigmoid>},
    {"silu", activation<torch::silu>},
    {"gelu", gelu},
    {"elu", elu},
    {"softplus", softplus},
    {"max_pool1d", max_pool1d},
    {"max_pool2d", max_pool2d},
    {"avg_pool1d", avg_pool1d},
    {"avg_pool2d", avg_pool2d},
    {"adaptive_avg_pool1d", adaptive_avg_pool1d},
    {"adaptive_avg_pool2d", adaptive_avg_pool2d},
    {"upsample", upsample},
    {"pixel_shuffle", pixel_shuffle},
    {"pixel_unshuffle", pixel_unshuffle},
    {"flatten", flatten},
    {"reshape", reshape},
    {"transpose", transpose},
    {"slice", slice},
    {"pad", pad},
    {"concat", concat},
    {"add", add},
    {"sub", sub},
    {"mul", mul},
    {"argmax", argmax},
    {"softmax", softmax},
    {"log_softmax", log_softmax},
    {"dropout", dropout},
    {"identity", identity},
    {"quantize", quantize_node},
    {"prune", prune_node},
};

}  // namespace

NodeOperator make_operator(const Node& node) {
  for (const Row& row : kRows)
    if (row.op == node.op) return row.make(node);
  throw InputError(
      fmt::format("layer '{}': training does not know the operator '{}'", node.name, node.op));
}

}  // namespace lockstep::train
