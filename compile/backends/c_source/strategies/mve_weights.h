// Weights in the order that intrt/micro/mve.h reads.
#pragma once

#include <cstdint>
#include <vector>

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

}  // namespace lockstep::backends
