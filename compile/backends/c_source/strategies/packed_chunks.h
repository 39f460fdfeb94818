// The constants of intrt_packed_dot_4x4 (intrt/micro/packed.h): weights in blocks of four channels,
// and chunks of taps so short that no sum of one leaves 16 bits.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "compile/ir/ir.h"

namespace lockstep::backends {

struct WeightAndCode {
  std::int64_t weight = 0;
  ir::Range codes;  // that the weight may be multiplied by; a 0 besides
};

class PackedWeights {
 public:
  // Chunks do not cross multiples of `part` taps, which is even.
  PackedWeights(std::int64_t taps, std::int64_t part) : taps_(taps), part_(part) {}

  // at(c, tap) of channels 0 .. channels - 1; what is missing has weights of 0.
  template <typename At>
  void add_block(std::int64_t channels, At&& at) {
    for (std::int64_t tap = 0; tap < taps_; tap += 2) {
      if (tap % part_ == 0) open_part();
      std::array<WeightAndCode, 8> pair{};
      for (std::int64_t k = 0; k < std::min<std::int64_t>(2, taps_ - tap); ++k)
        for (std::int64_t c = 0; c < channels; ++c)
          pair[static_cast<std::size_t>(4 * k + c)] = at(c, tap + k);
      add_pair(pair);
    }
  }

  // Whether weights have 8 bits, and every two taps make a chunk.
  bool fits() const { return fits_; }
  const std::vector<std::int64_t>& weights() const { return weights_; }
  const std::vector<std::int64_t>& lengths() const { return lengths_; }  // in pairs of taps
  // For each part of each block its first chunk, and at the end the number of chunks.
  std::vector<std::int64_t> first_chunks() const;

 private:
  void open_part();
  void add_pair(const std::array<WeightAndCode, 8>& pair);

  std::int64_t taps_, part_;
  bool fits_ = true;
  std::vector<std::int64_t> weights_, lengths_, firsts_;
  std::array<ir::Range, 4> sums_{};  // of the last chunk, in every order
};

}  // namespace lockstep::backends
