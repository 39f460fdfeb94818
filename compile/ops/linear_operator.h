// What convolutions, of either direction, and linear share: float weights and biases become
// integers on one grid per output channel.
//
// A product of an input code and a weight code lies on the grid 2^-E with E = input decimal +
// weight decimal; E may differ from product to product. All are brought to the finest grid of their
// output channel, D = the largest E in use (and the bias's decimal), by multiplying the weights by
// 2^(D-E) beforehand. That is exact. A bias that stays float is a float function of the sum.
#pragma once

#include <cstdint>
#include <vector>

#include "compile/ops/lowering.h"

namespace lockstep::ops {

// How PyTorch stores the weight: [outputs, inputs / groups, taps...], or for a transposed
// convolution [inputs, outputs / groups, taps...].
struct WeightLayout {
  std::int64_t inputs = 0, outputs = 0, groups = 1;
  bool transposed = false;
};

struct AlignedWeights {
  std::vector<std::int32_t> weights;  // [outputs][inputs / groups][taps]
  std::vector<std::int64_t> bias;     // empty without an integer bias
  std::vector<int> decimals;          // of the accumulators, one per output channel
  std::vector<FloatStep> float_bias;  // empty, or one addition per output channel
};

// Refuses, by layer and channel: an unquantized weight or input, codes that training could not have
// made, and aligned weights or biases of more than 32 bits.
AlignedWeights align_weights(const Lowering& lowering, const WeightLayout& layout);

// Emits `kind`, which holds weights and bias of `aligned`, with what of the bias is still to be
// added. Refuses an output channel whose sum could leave 63 bits; 32 with a float bias.
NodeValue emit_sum(Lowering& lowering, ir::OpKind kind, const ir::Shape& shape,
                   AlignedWeights aligned);

}  // namespace lockstep::ops
