#include "tools/bench/embedded_layers.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "compile/support/error.h"
#include "tools/zoo/builder.h"
#include "tools/zoo/zoo.h"

namespace lockstep::bench {
namespace {

using zoo::Attributes;

struct Layer {
  std::string_view name;
  std::int64_t channels, height, width, outputs, kernel, groups;
};
// A convolution with relu and padding for the same size.
constexpr Layer kLayers[] = {{"conv3x3_16_16_32x32", 16, 32, 32, 16, 3, 1},
                             {"conv1x1_64_64_25x5", 64, 25, 5, 64, 1, 1},
                             {"conv3x3_64_64_8x8", 64, 8, 8, 64, 3, 1},
                             {"depthwise3x3_64_25x5", 64, 25, 5, 64, 3, 64},
                             {"conv3x3_1_32_28x28", 1, 28, 28, 32, 3, 1}};
constexpr std::string_view kLinear = "linear_640_128";  // with relu
constexpr std::string_view kAdd = "add_16384";
constexpr std::string_view kNetworks[] = {"resnet8", "ds_cnn"};

Graph layer_graph(const Layer& layer, double sparsity) {
  zoo::Builder net(std::string(layer.name), {layer.channels, layer.height, layer.width},
                   {.sparsity = sparsity});
  Attributes attributes = {{"out_channels", layer.outputs},
                           {"kernel_size", layer.kernel},
                           {"padding", layer.kernel / 2},
                           {"groups", layer.groups},
                           {"bias", false}};
  const zoo::Value conv = net.weighted("conv2d", "conv", net.input(), attributes);
  return net.finish(net.quantize(net.add("relu", "relu", {conv})));
}

Graph linear_graph(double sparsity) {
  zoo::Builder net(std::string(kLinear), {640}, {.sparsity = sparsity});
  const zoo::Value sums = net.weighted("linear", "linear", net.input(), {{"out_features", 128}});
  return net.finish(net.quantize(net.add("relu", "relu", {sums})));
}

template <typename T>
Tensor tensor(Dtype dtype, std::vector<std::int64_t> shape, T value) {
  Tensor result{.dtype = dtype, .shape = std::move(shape), .bytes = {}};
  result.bytes.resize(sizeof value);
  std::memcpy(result.bytes.data(), &value, sizeof value);
  return result;
}

// Two inputs on one grid, and a sum on the same.
EmbeddedCase add_case() {
  EmbeddedCase result{.name = std::string(kAdd), .graph = {}, .state = {}};
  result.graph = parse_graph(R"({"format": "lockstep-graph", "version": 1, "name": "add_16384",
    "inputs": [{"name": "a", "shape": [16, 32, 32], "bits": 8, "decimal": 5},
               {"name": "b", "shape": [16, 32, 32], "bits": 8, "decimal": 5}],
    "nodes": [{"name": "sum", "op": "add", "inputs": ["a", "b"]},
              {"name": "quantize", "op": "quantize", "inputs": ["sum"], "attrs": {"bits": 8}}],
    "outputs": ["quantize"]})",
                             std::string(kAdd));
  result.state.add("quantize.decimal", tensor(Dtype::kFloat32, {1}, 5.0F));
  result.state.add("quantize._n_updates", tensor(Dtype::kInt32, {1}, std::int32_t{1000}));
  result.state.add("quantize.bits", tensor(Dtype::kInt32, {}, std::int32_t{8}));
  result.state.add("quantize._quantized", tensor(Dtype::kBool, {1}, std::uint8_t{1}));
  return result;
}

}  // namespace

std::vector<std::string> embedded_cases() {
  std::vector<std::string> names;
  for (const Layer& layer : kLayers) names.emplace_back(layer.name);
  names.emplace_back(kLinear);
  names.emplace_back(kAdd);
  for (const std::string_view network : kNetworks) names.emplace_back(network);
  return names;
}

EmbeddedCase embedded_case(std::string_view name, double sparsity) {
  if (name == kAdd) return add_case();
  EmbeddedCase result{.name = std::string(name), .graph = {}, .state = {}};
  const auto* const layer = std::ranges::find(kLayers, name, &Layer::name);
  if (layer != std::end(kLayers))
    result.graph = layer_graph(*layer, sparsity);
  else if (name == kLinear)
    result.graph = linear_graph(sparsity);
  else
    result.graph = zoo::find_network(name).build({.sparsity = sparsity});
  result.state = zoo::calibrated_state(result.graph, 1);
  return result;
}

}  // namespace lockstep::bench
