// A network with a channel whose sums never reach a threshold: its output is 0 for every input, but
// would not be with a weight that is wrong by enough.
#pragma once

#include "tests/compile/random_network.h"
#include "tests/verify/recorded.h"

namespace lockstep::test {

inline constexpr std::int64_t kQuietInputs = 24;

// Linear layer 'fc' from 24 inputs to 2 outputs, a relu, and codes of 4096 each. The weights of
// channel 0 are 100 or -100, the first two positive, and a 0 every eighth; its sums end 200 below
// 4096.
inline Recorded quiet_network() {
  Random random(1);
  std::vector<float> weights;
  std::int64_t highest = 0;
  for (std::int64_t k = 0; k < kQuietInputs; ++k) {
    const bool positive = k < 2 || random.chance(50);
    const int weight = k % 8 == 7 ? 0 : (positive ? 100 : -100);
    weights.push_back(static_cast<float>(weight));
    highest += weight > 0 ? weight * 127 : weight * -128;
  }
  for (std::int64_t k = 0; k < kQuietInputs; ++k)
    weights.push_back(static_cast<float>(random.between(-20, 20)));
  StateBuilder state;
  state.floats("fc.weight", {2, kQuietInputs}, weights);
  state.floats("fc.bias", {2}, {static_cast<float>(4096 - 200 - highest), 5.0F});
  state.quantize("fc.quantize.", {0}, 8);
  state.quantize("fc.quantize_bias.", {0, 0}, 20);
  state.quantize("out.", {-12}, 8);
  Recorded net;
  net.graph = parse_graph(R"({"format": "lockstep-graph", "version": 1, "name": "quiet",
    "inputs": [{"name": "x", "shape": [24], "bits": 8, "decimal": 0}],
    "nodes": [
      {"name": "fc", "op": "linear", "inputs": ["x"],
       "attrs": {"in_features": 24, "out_features": 2, "bias": true},
       "wrap": [{"type": "quantize", "bits": 8, "channelwise": -1, "bias_bits": 20,
                 "decimal_range": [-20, 20]}]},
      {"name": "relu", "op": "relu", "inputs": ["fc"]},
      {"name": "out", "op": "quantize", "inputs": ["relu"],
       "attrs": {"bits": 8, "channelwise": -1, "decimal_range": [-20, 20]}}],
    "outputs": ["out"]})",
                          "quiet");
  net.state = state.take();
  net.parameters = bind_parameters(net.graph, net.state);
  return net;
}

}  // namespace lockstep::test
