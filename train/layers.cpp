#include "train/layers.h"

#include <fmt/format.h>

#include <cmath>

#include "compile/graph/op_schema.h"

namespace lockstep::train {
namespace {

torch::Tensor uniform(at::IntArrayRef shape, double bound) {
  return torch::empty(shape, torch::kFloat32).uniform_(-bound, bound);
}

torch::Tensor relu(const Node&, const torch::Tensor& x, bool) { return torch::relu(x); }

torch::Tensor max_pool2d(const Node& node, const torch::Tensor& x, bool) {
  return torch::max_pool2d(x, node.integers("kernel_size"), node.integers("stride"),
                           node.integers("padding"), node.integers("dilation"),
                           node.flag("ceil_mode"));
}

torch::Tensor flatten(const Node& node, const torch::Tensor& x, bool) {
  return torch::flatten(x, node.integer("start_dim"), node.integer("end_dim"));
}

torch::Tensor dropout(const Node& node, const torch::Tensor& x, bool training) {
  return torch::dropout(x, std::get<double>(node.attributes.at("p")), training);
}

torch::Tensor identity(const Node&, const torch::Tensor& x, bool) { return x; }

}  // namespace

WeightedLayer::WeightedLayer(const Node& node, LayerContext* context) : node_(node) {
  const std::vector<std::int64_t> shape = schema_of(node).weight_shape(node);
  std::int64_t fan_in = 1;
  for (std::size_t d = 1; d < shape.size(); ++d) fan_in *= shape[d];
  const double bound = 1.0 / std::sqrt(static_cast<double>(fan_in));
  weight = register_parameter("weight", uniform(shape, bound));
  if (node.flag("bias")) bias = register_parameter("bias", uniform({shape[0]}, bound));
  for (const Wrap& wrap : node.wraps) {
    if (const auto* const prune = std::get_if<PruneSpec>(&wrap)) {
      wraps_.emplace_back(register_module(
          "prune",
          std::make_shared<PruneLayer>(node.name + ".prune", *prune, Role::kWeight, context)));
      continue;
    }
    const auto& spec = std::get<QuantizeSpec>(wrap);
    wraps_.emplace_back(register_module(
        "quantize",
        std::make_shared<QuantizeLayer>(node.name + ".quantize", spec, Role::kWeight, context)));
    if (spec.bias_bits < 0) continue;
    bias_quantizer_ = register_module(
        "quantize_bias",
        std::make_shared<QuantizeLayer>(node.name + ".quantize_bias", spec, Role::kBias, context));
  }
}

torch::Tensor WeightedLayer::effective_weight() {
  torch::Tensor w = weight;
  for (const auto& wrap : wraps_)
    w = std::visit([&](const auto& layer) { return layer->forward(w); }, wrap);
  return w;
}

torch::Tensor WeightedLayer::effective_bias() {
  return bias.defined() && bias_quantizer_ ? bias_quantizer_->forward(bias) : bias;
}

torch::Tensor WeightedLayer::forward(const torch::Tensor& x) {
  const torch::Tensor w = effective_weight();
  const torch::Tensor b = effective_bias();
  if (node_.op == "linear") return torch::linear(x, w, b);
  return torch::conv2d(x, w, b, node_.integers("stride"), node_.integers("padding"),
                       node_.integers("dilation"), node_.integer("groups"));
}

std::vector<PruneLayer*> WeightedLayer::prune_layers() {
  std::vector<PruneLayer*> found;
  for (const auto& wrap : wraps_)
    if (const auto* const layer = std::get_if<std::shared_ptr<PruneLayer>>(&wrap))
      found.push_back(layer->get());
  return found;
}

std::vector<QuantizeLayer*> WeightedLayer::quantize_layers() {
  std::vector<QuantizeLayer*> found;
  for (const auto& wrap : wraps_)
    if (const auto* const layer = std::get_if<std::shared_ptr<QuantizeLayer>>(&wrap))
      found.push_back(layer->get());
  if (bias_quantizer_) found.push_back(bias_quantizer_.get());
  return found;
}

PlainOp find_plain_op(std::string_view op) {
  if (op == "relu") return relu;
  if (op == "max_pool2d") return max_pool2d;
  if (op == "flatten") return flatten;
  if (op == "dropout") return dropout;
  if (op == "identity") return identity;
  return nullptr;
}

}  // namespace lockstep::train
