// The layers of the canonical float path, one file per family: which LibTorch operations a node is,
// in which order, each of them in float32. Written from docs/arithmetic.md, apart from what trains
// the network and from the exact integer semantics.
#pragma once

#include <torch/types.h>

#include <functional>
#include <span>
#include <utility>

#include "compile/checkpoint/parameters.h"
#include "compile/graph/graph.h"

namespace lockstep::verify {

// A node as a function of its inputs, batch first. The axes of a graph (channelwise, dim) count the
// batch, too, and are those of the tensors.
using Layer = std::function<torch::Tensor(std::span<const torch::Tensor> inputs)>;

template <typename Function>
Layer of_one_input(Function function) {
  return [function = std::move(function)](std::span<const torch::Tensor> inputs) {
    return function(inputs[0]);
  };
}

// Each is empty for a node of another family. InputError names the node for parameters that its
// operator cannot work with.
// `type`: of the input, the weight and the sum, and of a quantized bias; float32 or double. A bias
// that is not quantized is added in float32. Batch norms are float32 always.
Layer make_weighted_layer(const Node& node, const NodeParameters& parameters,
                          torch::ScalarType type = torch::kFloat32);
Layer make_sparse_layer(const Node& node, const NodeParameters& parameters);  // quantize, prune
Layer make_function_layer(const Node& node);  // activations, sums and products
Layer make_window_layer(const Node& node);    // pooling and upsampling
Layer make_move_layer(const Node& node);      // what only moves or picks values

// The value of a raw input from its bytes, of type uint8: its normalisation and quantization.
torch::Tensor normalise(const torch::Tensor& bytes, const GraphInput& input);

// clamp(round(x * 2^decimal)) * 2^-decimal, with one decimal or one per index of `axis`.
torch::Tensor fake_quantize(const torch::Tensor& x, const QuantizeParameters& quantize,
                            Rounding rounding, std::int64_t axis);

// 1 where the mask keeps, 0 elsewhere, in the mask's shape.
torch::Tensor mask_tensor(const MaskParameters& mask);

}  // namespace lockstep::verify
