// The state dict of one particular graph, checked: every key that the graph's nodes need is there,
// with the right dtype and shape, initialised and quantized, and no key is left over.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compile/checkpoint/state_dict.h"
#include "compile/graph/graph.h"

namespace lockstep {

// decimal, bits of one quantize entry. `decimals` has one entry, or one per index of the node's
// channelwise axis. Integers between -64 and 64.
struct QuantizeParameters {
  std::vector<int> decimals;
  int bits = 0;  // 2 to 16 for weights and activations, 2 to 32 for biases
};

// A pruning mask, 1 = keep, row-major; shape without the batch dimension; 1 on dimensions it spans.
struct MaskParameters {
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> keep;
};

// Of a batch norm in eval mode, one value per channel, as trained; `running_var` is not negative.
struct BatchNormParameters {
  std::vector<float> weight, bias, running_mean, running_var;
};

struct NodeParameters {
  std::vector<std::int64_t> weight_shape;  // PyTorch's layout, empty without a weight
  std::vector<float> weight;               // full precision, as trained
  std::vector<float> bias;                 // empty without a bias
  std::optional<QuantizeParameters> weight_quantize, bias_quantize;
  std::optional<MaskParameters> weight_mask;
  std::optional<BatchNormParameters> batch_norm;
  std::optional<QuantizeParameters> quantize;  // of a quantize node
  std::optional<MaskParameters> mask;          // of a prune node
};

struct Parameters {
  std::map<std::string, NodeParameters, std::less<>> nodes;  // by node name; every node is there
  const NodeParameters& of(const Node& node) const;
};

// A quantize or prune entry of a layer that has seen no data: the 0-d int32 tensor -1.
bool is_placeholder(const Tensor& entry);

// InputError names the layer and the key for: a missing or an extra key, a wrong dtype or shape, an
// uninitialised placeholder (-1), `_quantized` false, a decimal that is no integer or out of range,
// NaN or infinity in a weight or bias, a weight's mask with strict = false whose rows differ.
Parameters bind_parameters(const Graph& graph, const StateDict& state);

}  // namespace lockstep
