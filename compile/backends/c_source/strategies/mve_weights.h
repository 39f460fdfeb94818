// Weights in the order that intrt/micro/mve.h reads.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "compile/backends/weights.h"

namespace lockstep::backends {

// A block of `channels` <= 4 channels with `taps` taps each: weight(channel, tap). What is missing
// is 0.
template <typename Weight>
void append_mve_block(std::vector<std::int64_t>& to, std::int64_t channels, std::int64_t taps,
                      Weight&& weight) {
  const std::int64_t begin = std::ssize(to);
  to.resize(static_cast<std::size_t>(begin + (taps + 15) / 16 * 64));
  for (std::int64_t tap = 0; tap < taps; ++tap)
    for (std::int64_t c = 0; c < channels; ++c)
      to[static_cast<std::size_t>(begin + tap / 16 * 64 + 16 * c + tap % 16)] = weight(c, tap);
}

// The same for weights of 16 bits.
template <typename Weight>
void append_wide_mve_block(std::vector<std::int64_t>& to, std::int64_t channels, std::int64_t taps,
                           Weight&& weight) {
  const std::int64_t begin = std::ssize(to);
  to.resize(static_cast<std::size_t>(begin + (taps + 15) / 16 * 64));
  for (std::int64_t tap = 0; tap < taps; ++tap)
    for (std::int64_t c = 0; c < channels; ++c)
      to[static_cast<std::size_t>(begin + tap / 8 * 32 + 8 * c + tap % 8)] = weight(c, tap);
}

// How the kernels take weights: of 8 bits, or else of 16.
struct MveWeights {
  explicit MveWeights(const xt::xarray<std::int32_t>& weights) : are_wide(!fits_bytes(weights)) {}

  template <typename Weight>
  void append(std::vector<std::int64_t>& to, std::int64_t channels, std::int64_t taps,
              Weight&& weight) const {
    if (are_wide)
      append_wide_mve_block(to, channels, taps, weight);
    else
      append_mve_block(to, channels, taps, weight);
  }
  std::string_view type() const { return are_wide ? "int16_t" : "int8_t"; }
  std::string_view dot() const { return are_wide ? "intrt_mve_wide_dot_4x2" : "intrt_mve_dot_4x2"; }
  std::int64_t factor() const { return are_wide ? 2 : 1; }  // of instructions and bytes

  bool are_wide;
};

}  // namespace lockstep::backends
