#include "train/windows.h"

#include <algorithm>
#include <map>

#include "compile/graph/op_schema.h"
#include "compile/support/error.h"
#include "train/evaluation.h"

namespace lockstep::train {
namespace {

using Shape = std::vector<std::int64_t>;

struct Form {
  Shape sample_shape;
  std::int64_t window_size;
};
using Forms = std::map<std::string, Form>;  // by label

Shape without_first(Shape shape) {
  shape.erase(shape.begin());
  return shape;
}

// With the batch averaged out single samples are collected, else whole tensors.
void add_activation(Forms& forms, const Node& node, Shape shape) {
  if (node.quantize) {
    shape[0] = 1;
    forms[node.name] = {shape, node.quantize->window_size};
  }
  if (!node.prune) return;
  const bool single_samples = node.prune->collapse.value_or(0) >= 0;
  shape[0] = -1;
  forms[node.name] = {single_samples ? without_first(shape) : shape, node.prune->window_size};
}

void add_weight(Forms& forms, const Node& node) {
  for (const Wrap& wrap : node.wraps) {
    const Shape shape = schema_of(node).weight_shape(node);
    if (const auto* const prune = std::get_if<PruneSpec>(&wrap)) {
      const bool single_rows = prune->collapse.value_or(-1) >= 0;
      forms[node.name + ".prune"] = {single_rows ? without_first(shape) : shape,
                                     prune->window_size};
      continue;
    }
    const auto& quantize = std::get<QuantizeSpec>(wrap);
    forms[node.name + ".quantize"] = {shape, quantize.window_size};
    forms[node.name + ".quantize_bias"] = {{node.integer(schema_of(node).bias_length)},
                                           quantize.window_size};
  }
}

}  // namespace

bool LayerWindow::accepts(const Tensor& sample) const {
  return sample.dtype == Dtype::kFloat32 &&
         std::ranges::equal(sample.shape, sample_shape, [](std::int64_t found, std::int64_t size) {
           return size < 0 ? found > 0 : found == size;
         });
}

std::vector<std::pair<std::string, std::deque<torch::Tensor>*>> collected_samples(
    const Network& network) {
  std::vector<std::pair<std::string, std::deque<torch::Tensor>*>> found;
  for (PruneImpl* const layer : network.prune_layers())
    found.emplace_back(layer->label(), &layer->window);
  for (QuantizeImpl* const layer : network.quantize_layers())
    found.emplace_back(layer->label(), &layer->window);
  return found;
}

std::vector<LayerWindow> layer_windows(Network& network) {
  const std::map<std::string, Shape> shapes = value_shapes(network);
  Forms forms;
  for (const Node& node : network.graph().nodes) {
    add_activation(forms, node, shapes.at(node.name));
    add_weight(forms, node);
  }
  std::vector<LayerWindow> windows;
  for (const auto& [label, samples] : collected_samples(network)) {
    const Form& form = forms.at(label);
    windows.push_back(
        {label, samples, form.sample_shape, static_cast<std::size_t>(form.window_size)});
  }
  return windows;
}

}  // namespace lockstep::train
