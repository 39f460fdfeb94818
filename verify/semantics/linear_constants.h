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
#include "verify/semantics/format.h"

namespace lockstep::verify {

struct LinearConstants {
  std::int64_t outputs = 0;  // output channels
  std::int64_t fan_in = 0;   // weights per output channel
  // Codes, mask applied and 0 where they meet what is always 0, fan_in for each output channel:
  // PyTorch's layout. Of a transposed convolution the output channel comes first: [O, I / groups,
  // kernel], the kernel not mirrored.
  std::vector<std::int64_t> weights;
  std::vector<int> product_decimals;      // per weight: its decimal plus that of the input it meets
  std::vector<std::int64_t> bias;         // codes; empty without a bias, and with a float bias
  std::vector<int> bias_decimals;         // per output channel; empty like `bias`
  std::vector<float> float_bias;          // added to the float32 sum; empty without
  std::vector<int> accumulator_decimals;  // per output channel: the finest in use
  std::vector<std::int64_t> aligned_weights, aligned_bias;  // in accumulator steps
  std::int64_t largest_sum = 0;  // of |products| + |bias| over all channels, in accumulator steps
  std::vector<CodeRange> sum_ranges;  // of the accumulators of each output channel
  bool float32_is_exact = false;      // every partial sum, in any order, is a float32
};

// Which weights make one output channel: weight k of output channel o (0 <= k < fan_in) lies at
// stored(o, k) of the stored weight, and meets inputs of decimal input_decimal(o, k) with codes in
// input_range(o, k).
struct WeightOrder {
  std::int64_t outputs = 0, fan_in = 0;
  std::function<std::int64_t(std::int64_t output, std::int64_t k)> stored;
  std::function<int(std::int64_t output, std::int64_t k)> input_decimal;
  std::function<CodeRange(std::int64_t output, std::int64_t k)> input_range;
};

// `input_magnitude`: no input code is larger. InputError names the layer for an unquantized weight,
// and a sum that could leave 64 bits.
LinearConstants derive_linear_constants(const Node& node, const NodeParameters& parameters,
                                        std::int64_t input_magnitude, const WeightOrder& order);

}  // namespace lockstep::verify
