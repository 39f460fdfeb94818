// The data that quantize and prune layers have collected and not yet used: part of a checkpoint,
// and not of a state dict.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "compile/checkpoint/state_dict.h"
#include "train/network.h"

namespace lockstep::train {

struct LayerWindow {
  std::string label;  // the layer's
  std::deque<torch::Tensor>* samples;
  std::vector<std::int64_t> sample_shape;  // -1: any size
  std::size_t capacity;                    // samples at most

  bool accepts(const Tensor& sample) const;  // dtype and shape
};

// (label, samples) of every layer, in the order of the network.
std::vector<std::pair<std::string, std::deque<torch::Tensor>*>> collected_samples(
    const Network& network);

// The same with what each layer may collect, for images of the graph's input shape. Leaves no
// trace in the network.
std::vector<LayerWindow> layer_windows(Network& network);

}  // namespace lockstep::train
