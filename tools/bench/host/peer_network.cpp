#include "tools/bench/host/peer_network.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "compile/graph/shapes.h"
#include "compile/support/error.h"

namespace lockstep::bench {
namespace {

PeerShape shape_of(const std::vector<std::int64_t>& shape) {
  PeerShape result{.channels = shape.at(0)};
  if (shape.size() == 3) result.height = shape[1], result.width = shape[2];
  return result;
}

struct Padding {
  std::int64_t left = 0, right = 0, top = 0, bottom = 0;
};
// What a node of the graph stands for: a value of the peer's network, and padding that the window
// behind it has to add.
struct Known {
  std::size_t value = 0;
  Padding padding;
};

constexpr std::string_view kNothing[] = {"quantize", "prune",        "dropout",     "identity",
                                         "flatten",  "batch_norm1d", "batch_norm2d"};

void set_window(PeerLayer& layer, const Node& node, const Padding& before) {
  const std::vector<std::int64_t>& kernel = node.integers("kernel_size");
  const std::vector<std::int64_t>& stride = node.integers("stride");
  const std::vector<std::int64_t>& padding = node.integers("padding");
  const std::vector<std::int64_t>& dilation = node.integers("dilation");
  if (dilation.at(0) != 1 || dilation.at(1) != 1)
    throw InputError(fmt::format("layer '{}': no peer is measured with a dilation", node.name));
  layer.kernel_h = kernel.at(0), layer.kernel_w = kernel.at(1);
  layer.stride_h = stride.at(0), layer.stride_w = stride.at(1);
  layer.top = padding.at(0) + before.top, layer.bottom = padding.at(0) + before.bottom;
  layer.left = padding.at(1) + before.left, layer.right = padding.at(1) + before.right;
}

class Reader {
 public:
  explicit Reader(const Graph& graph) : graph_(graph), shapes_(infer_shapes(graph, graph.name)) {
    if (graph.inputs.size() != 1)
      throw InputError(fmt::format("network '{}': peers take one input", graph.name));
    network_.name = graph.name;
    network_.input = shape_of(graph.inputs[0].shape);
    network_.is_vector = graph.inputs[0].shape.size() == 1;
    known_[graph.inputs[0].name] = {};
  }

  PeerNetwork read() {
    for (const Node& node : graph_.nodes) known_[node.name] = read(node);
    return std::move(network_);
  }

 private:
  // A peer knows the network's input as it is or behind the relu, not both.
  void require_sole_reader(const Node& relu) const {
    const auto reads_input = [&](const Node& node) {
      return std::ranges::find(node.inputs, graph_.inputs[0].name) != node.inputs.end();
    };
    if (!reads_input(relu) || std::ranges::count_if(graph_.nodes, reads_input) > 1)
      throw InputError(fmt::format(
          "layer '{}': a peer's input cannot go through a relu and past it", relu.name));
  }

  Known read(const Node& node) {
    const Known input = known_.at(node.inputs[0]);
    if (std::ranges::find(kNothing, node.op) != std::end(kNothing)) return input;
    if (node.op == "pad") {
      const std::vector<std::int64_t>& p = node.integers("padding");
      return {input.value, {p.at(0), p.at(1), p.at(2), p.at(3)}};
    }
    if (node.op == "relu" || node.op == "relu6") {
      if (input.value == 0) require_sole_reader(node);
      (input.value == 0 ? network_.input_relu : network_.layers[input.value - 1].relu) = true;
      return input;
    }
    PeerLayer layer{.inputs = {input.value, 0},
                    .in = network_.shape(input.value),
                    .out = shape_of(shapes_.at(node.name))};
    if (node.op == "conv2d") {
      layer.kind = PeerKind::kConvolution;
      layer.groups = node.integer("groups");
      set_window(layer, node, input.padding);
    } else if (node.op == "linear") {
      layer.kind = PeerKind::kLinear;
    } else if (node.op == "max_pool2d") {
      layer.kind = PeerKind::kMaxPool;
      set_window(layer, node, input.padding);
    } else if (node.op == "adaptive_avg_pool2d" && layer.out.height * layer.out.width == 1) {
      layer.kind = PeerKind::kAverage;
    } else if (node.op == "add") {
      layer.kind = PeerKind::kAdd;
      layer.inputs[1] = known_.at(node.inputs[1]).value;
    } else {
      throw InputError(
          fmt::format("layer '{}': no peer is measured with '{}'", node.name, node.op));
    }
    network_.layers.push_back(layer);
    return {network_.layers.size(), {}};
  }

  const Graph& graph_;
  Shapes shapes_;
  PeerNetwork network_;
  std::map<std::string, Known, std::less<>> known_;
};

}  // namespace

bool PeerNetwork::is_rectified(std::size_t value) const {
  if (value == 0) return input_relu;
  const PeerLayer& layer = layers[value - 1];
  const bool keeps_sign = layer.kind == PeerKind::kMaxPool || layer.kind == PeerKind::kAverage;
  return layer.relu || (keeps_sign && is_rectified(layer.inputs[0]));
}

std::int64_t PeerNetwork::macs() const {
  std::int64_t sum = 0;
  for (const PeerLayer& layer : layers)
    if (layer.kind == PeerKind::kConvolution || layer.kind == PeerKind::kLinear)
      sum += layer.out.elements() * layer.taps();
  return sum;
}

PeerNetwork peer_network(const Graph& graph) { return Reader(graph).read(); }

}  // namespace lockstep::bench
