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

NodeOperator max_pool2d(const Node& node) {
  return unary(torch::nn::MaxPool2d(torch::nn::MaxPool2dOptions(node.integers("kernel_size"))
                                        .stride(node.integers("stride"))
                                        .padding(node.integers("padding"))
                                        .dilation(node.integers("dilation"))
                                        .ceil_mode(node.flag("ceil_mode"))));
}

NodeOperator avg_pool2d(const Node& node) {
  return unary(torch::nn::AvgPool2d(torch::nn::AvgPool2dOptions(node.integers("kernel_size"))
                                        .stride(node.integers("stride"))
                                        .padding(node.integers("padding"))
                                        .ceil_mode(node.flag("ceil_mode"))
                                        .count_include_pad(node.flag("count_include_pad"))));
}

NodeOperator pixel_shuffle(const Node& node) {
  return unary(torch::nn::PixelShuffle(node.integer("upscale_factor")));
}

NodeOperator flatten(const Node& node) {
  return unary(torch::nn::Flatten(torch::nn::FlattenOptions()
                                      .start_dim(node.integer("start_dim"))
                                      .end_dim(node.integer("end_dim"))));
}

NodeOperator dropout(const Node& node) { return unary(torch::nn::Dropout(node.number("p"))); }

NodeOperator relu(const Node&) { return unary(torch::nn::ReLU()); }

NodeOperator identity(const Node&) { return unary(torch::nn::Identity()); }

NodeOperator add(const Node&) {
  return {nullptr, [](std::span<const torch::Tensor> inputs) { return inputs[0] + inputs[1]; }};
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
    {"max_pool2d", max_pool2d},
    {"avg_pool2d", avg_pool2d},
    {"pixel_shuffle", pixel_shuffle},
    {"flatten", flatten},
    {"add", add},
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
