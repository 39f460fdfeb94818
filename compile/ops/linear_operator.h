// What conv2d and linear share: float weights and biases become integers on one grid per output
// channel.
//
// A product of an input code and a weight code lies on the grid 2^-E with E = input decimal +
// weight decimal; E may differ from product to product. All are brought to the finest grid of their
// output channel, D = the largest E in use (and the bias's decimal), by multiplying the weights by
// 2^(D-E) beforehand. That is exact.
#pragma once

#include <cstdint>
#include <vector>

#include "compile/ops/lowering.h"

namespace lockstep::ops {

struct AlignedWeights {
  std::vector<std::int32_t> weights;  // in the order of the float weights
  std::vector<std::int64_t> bias;     // empty without a bias
  std::vector<int> decimals;          // of the accumulators, one per output channel
};

// The weight has shape [outputs, inputs per group, ...]; the input has groups * (inputs per group)
// channels. Refuses, by layer and channel: an unquantized weight, bias or input, codes that
// training could not have made, and aligned weights or biases beyond 16 and 32 bits.
AlignedWeights align_weights(const Lowering& lowering, std::int64_t groups);

// Refuses an output channel whose sum could leave 32 bits.
void require_accumulators_fit(const Lowering& lowering,
                              const std::vector<ir::Accumulator>& accumulators);

}  // namespace lockstep::ops
