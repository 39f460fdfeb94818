// How both backends store constants.
#pragma once

#include <cstdint>
#include <vector>

#include "compile/ir/ir.h"

namespace lockstep::backends {

// Weights as docs/plan-format.md stores them sparsely. `weights` are in physical order.
struct SparseWeights {
  std::vector<std::uint8_t> nonzero;  // a bit for each weight, every tap from a new byte on
  std::vector<std::uint32_t> starts;  // the first value of each output channel, and their number
  std::vector<std::int32_t> values;   // what is not 0
};
SparseWeights sparse_weights(const xt::xarray<std::int32_t>& weights);

// Whether all of them have 8 bits.
bool fits_bytes(const xt::xarray<std::int32_t>& weights);

// One bit per element, element i in bit i % 8 of byte i / 8, unused bits 0.
std::vector<std::uint8_t> pack_mask(const std::vector<std::uint8_t>& mask);

}  // namespace lockstep::backends
