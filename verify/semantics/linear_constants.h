// The integers behind the weight and bias of a linear operator, derived from the state dict:
// code = clamp(round(w * 2^decimal)) * mask, then everything that is added into one accumulator is
// brought to the finest grid that occurs there.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "compile/checkpoint/parameters.h"
#include "compile/graph/graph.h"

namespace lockstep::verify {

struct LinearConstants {
  std::int64_t outputs = 0;               // output channels
  std::int64_t fan_in = 0;                // weights per output channel
  std::vector<std::int64_t> weights;      // codes, PyTorch's layout, mask applied
  std::vector<int> product_decimals;      // per weight: its decimal plus that of the input it meets
  std::vector<std::int64_t> bias;         // codes; empty without a bias
  std::vector<int> bias_decimals;         // per output channel; empty without a bias
  std::vector<int> accumulator_decimals;  // per output channel: the finest in use
  std::vector<std::int64_t> aligned_weights, aligned_bias;  // in accumulator steps
  std::int64_t largest_sum = 0;   // of |products| + |bias| over all channels, in accumulator steps
  bool float32_is_exact = false;  // every partial sum, in any order, is a float32
};

// `input_decimal(o, k)`: the decimal of the input that weight k of output channel o meets.
// `input_magnitude`: no input code is larger. InputError names the layer for an unquantized weight,
// a float bias, and a sum that could leave 64 bits.
LinearConstants derive_linear_constants(
    const Node& node, const NodeParameters& parameters, std::int64_t input_magnitude,
    const std::function<int(std::int64_t output, std::int64_t k)>& input_decimal);

}  // namespace lockstep::verify
