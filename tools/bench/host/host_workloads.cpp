#include "tools/bench/host/host_workloads.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <random>
#include <utility>
#include <vector>

#include "tools/zoo/builder.h"
#include "tools/zoo/zoo.h"

namespace lockstep::bench {
namespace {

using zoo::Attributes;

constexpr HostWorkload kWorkloads[] = {
    {.name = "resnet8", .best_peer = 1.9, .onnxruntime = 3.5},
    {.name = "ds_cnn", .best_peer = 4, .onnxruntime = 6},
    {.name = "mobilenet_v1_025", .best_peer = 2.5, .onnxruntime = 6, .onnxruntime_float = 4},
    {.name = "autoencoder", .best_peer = 1.2, .onnxruntime = 8},
    {.name = "netpq", .best_peer = 1.2, .onnxruntime = 1.6},
    {.name = "mobilenet_v2_224", .best_peer = 1.7, .onnxruntime = 2.3, .two_threads = 1.7},
    {.name = "resnet18", .best_peer = 0.9, .onnxruntime = 1.2, .two_threads = 1.7},
    {.name = "conv3x3_64_64_56x56", .best_peer = 0.95, .onnxruntime = 1.3},
    {.name = "conv1x1_256_256_14x14", .best_peer = 1.0, .onnxruntime = 1.5},
    {.name = "conv3x3_16_16_32x32", .best_peer = 1.5, .onnxruntime = 3},
    {.name = "depthwise3x3_64_56x56", .best_peer = 4, .onnxruntime = 10},
    {.name = "depthwise3x3_8_48x48", .best_peer = 7, .onnxruntime = 30},
    {.name = "fc_4096_1024", .best_peer = 0.95, .onnxruntime = 1.15},
    {.name = "fc_4096_1024_75", .best_peer = 2.0, .onnxruntime = 2.3},
    {.name = "fc_640_128", .best_peer = 1.0, .onnxruntime = 4},
    {.name = "fc_9216_128", .best_peer = 0.95, .onnxruntime = 1.3}};

constexpr std::string_view kBlockLayer = "conv1x1_256_256_14x14";
constexpr SparseWorkload kSparse[] = {
    {.name = "conv1x1_256_256_14x14_75", .dense = kBlockLayer, .zeros = 0.75, .speedup = 2.5},
    {.name = "conv1x1_256_256_14x14_90", .dense = kBlockLayer, .zeros = 0.90, .speedup = 5}};

// A convolution with padding for the same size, or a linear layer (kernel 0), between two relus:
// its input is never negative, as that of most layers within a network.
struct Layer {
  std::string_view name;
  std::int64_t channels, height, width, outputs, kernel, groups;
  double zeros;
};
constexpr Layer kLayers[] = {{"conv3x3_64_64_56x56", 64, 56, 56, 64, 3, 1, 0},
                             {kBlockLayer, 256, 14, 14, 256, 1, 1, 0},
                             {"conv3x3_16_16_32x32", 16, 32, 32, 16, 3, 1, 0},
                             {"depthwise3x3_64_56x56", 64, 56, 56, 64, 3, 64, 0},
                             {"depthwise3x3_8_48x48", 8, 48, 48, 8, 3, 8, 0},
                             {"fc_4096_1024", 4096, 1, 1, 1024, 0, 1, 0},
                             {"fc_4096_1024_75", 4096, 1, 1, 1024, 0, 1, 0.75},
                             {"fc_640_128", 640, 1, 1, 128, 0, 1, 0},
                             {"fc_9216_128", 9216, 1, 1, 128, 0, 1, 0}};

Graph layer_graph(const Layer& layer) {
  const bool is_linear = layer.kernel == 0;
  std::vector<std::int64_t> shape = {layer.channels, layer.height, layer.width};
  if (is_linear) shape.resize(1);
  zoo::Builder net(std::string(layer.name), shape, {.sparsity = layer.zeros});
  const Attributes linear = {{"out_features", layer.outputs}};
  const Attributes convolution = {{"out_channels", layer.outputs},
                                  {"kernel_size", std::max<std::int64_t>(layer.kernel, 1)},
                                  {"padding", layer.kernel / 2},
                                  {"groups", layer.groups}};
  const zoo::Value input = net.add("relu", "relu_before", {net.input()});
  const zoo::Value sum = is_linear ? net.weighted("linear", "layer", input, linear)
                                   : net.weighted("conv2d", "layer", input, convolution);
  return net.finish(net.quantize(net.add("relu", "relu", {sum})));
}

// Of a 1x1 convolution's weight [O][I][1][1], a share of the blocks becomes 0.
void clear_blocks(Tensor& weight, double share) {
  constexpr std::size_t kOutputs = 32, kInputs = 4;
  const auto outputs = static_cast<std::size_t>(weight.shape.at(0));
  const auto inputs = static_cast<std::size_t>(weight.shape.at(1));
  std::mt19937 random(1);
  for (std::size_t o = 0; o < outputs; o += kOutputs)
    for (std::size_t i = 0; i < inputs; i += kInputs) {
      if (static_cast<double>(random() % 1000) >= share * 1000) continue;
      for (std::size_t row = o; row < o + kOutputs; ++row)
        std::memset(weight.bytes.data() + 4 * (row * inputs + i), 0, 4 * kInputs);
    }
}

StateDict with_cleared_blocks(const StateDict& state, double share) {
  StateDict result;
  for (const auto& [key, tensor] : state.entries()) {
    Tensor changed = tensor;
    if (key == "layer.weight") clear_blocks(changed, share);
    result.add(key, std::move(changed));
  }
  return result;
}

}  // namespace

std::span<const HostWorkload> host_workloads() { return kWorkloads; }
std::span<const SparseWorkload> sparse_workloads() { return kSparse; }

HostCase host_case(std::string_view name) {
  const auto* const sparse = std::ranges::find(kSparse, name, &SparseWorkload::name);
  if (sparse != std::end(kSparse)) {
    HostCase result = host_case(sparse->dense);
    result.state = with_cleared_blocks(result.state, sparse->zeros);
    return result;
  }
  const auto* const layer = std::ranges::find(kLayers, name, &Layer::name);
  HostCase result{
      .graph = layer != std::end(kLayers) ? layer_graph(*layer) : zoo::find_network(name).build({}),
      .state = {}};
  result.state = zoo::calibrated_state(result.graph, 1);
  return result;
}

}  // namespace lockstep::bench
