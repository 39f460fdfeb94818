// A network as other engines know it: convolutions, linear layers, sums and pools with their
// shapes. Batch norms and quantize nodes have gone into the layer before, which costs an engine
// nothing. There are no weights: dense integer kernels take the same time for all of them, so that
// each peer draws its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "compile/graph/graph.h"

namespace lockstep::bench {

struct PeerShape {
  std::int64_t channels = 1, height = 1, width = 1;

  std::int64_t elements() const { return channels * height * width; }
};

enum class PeerKind : std::uint8_t { kConvolution, kLinear, kAdd, kMaxPool, kAverage };

struct PeerLayer {
  PeerKind kind = PeerKind::kConvolution;
  // Values: 0 is the network's input, n the output of layer n - 1. A sum has two.
  std::array<std::size_t, 2> inputs = {};
  PeerShape in, out;
  // Of windows.
  std::int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1;
  std::int64_t top = 0, bottom = 0, left = 0, right = 0;
  std::int64_t groups = 1;
  bool relu = false;

  // Weights that one output has.
  std::int64_t taps() const {
    return kind == PeerKind::kLinear ? in.elements() : kernel_h * kernel_w * in.channels / groups;
  }
};

struct PeerNetwork {
  std::string name;
  PeerShape input;
  bool is_vector = false;   // the input has one axis
  bool input_relu = false;  // its codes are never negative
  std::vector<PeerLayer> layers;

  const PeerShape& shape(std::size_t value) const {
    return value == 0 ? input : layers[value - 1].out;
  }
  // Codes of the value are never negative.
  bool is_rectified(std::size_t value) const;
  std::int64_t macs() const;  // of convolutions and linear layers
};

// InputError names an operator that no peer has here.
PeerNetwork peer_network(const Graph& graph);

}  // namespace lockstep::bench
