#include "compile/backends/weights.h"

#include <algorithm>

namespace lockstep::backends {

SparseWeights sparse_weights(const xt::xarray<std::int32_t>& weights) {
  const std::size_t rows = weights.shape(0), inputs = weights.shape(weights.dimension() - 1);
  const std::size_t taps = weights.size() / rows / inputs, tap_bytes = (inputs + 7) / 8;
  SparseWeights sparse;
  sparse.nonzero.assign(rows * taps * tap_bytes, 0);
  sparse.starts = {0};
  const std::int32_t* weight = weights.data();
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t tap = 0; tap < taps; ++tap)
      for (std::size_t i = 0; i < inputs; ++i, ++weight) {
        if (*weight == 0) continue;
        std::uint8_t& bits = sparse.nonzero[(row * taps + tap) * tap_bytes + i / 8];
        bits = static_cast<std::uint8_t>(bits | (1U << (i % 8)));
        sparse.values.push_back(*weight);
      }
    sparse.starts.push_back(static_cast<std::uint32_t>(sparse.values.size()));
  }
  return sparse;
}

bool fits_bytes(const xt::xarray<std::int32_t>& weights) {
  return std::all_of(weights.begin(), weights.end(),
                     [](std::int32_t w) { return w >= INT8_MIN && w <= INT8_MAX; });
}

std::vector<std::uint8_t> pack_mask(const std::vector<std::uint8_t>& mask) {
  std::vector<std::uint8_t> bits((mask.size() + 7) / 8, 0);
  for (std::size_t i = 0; i < mask.size(); ++i)
    if (mask[i] != 0) bits[i / 8] = static_cast<std::uint8_t>(bits[i / 8] | (1U << (i % 8)));
  return bits;
}

}  // namespace lockstep::backends
