// The independent streams of random numbers that one training seed stands for.
#pragma once

#include <cstdint>

#include "train/datasets/random.h"

namespace lockstep::train {

enum class SeedStream : std::uint64_t { kShuffle = 5, kStep = 6, kAugmentation = 7 };

// The seed of number `index` (an epoch, a step; below 2^32) of a stream.
inline std::uint64_t stream_seed(std::uint64_t seed, SeedStream stream, std::int64_t index) {
  return mix_seed(seed,
                  (static_cast<std::uint64_t>(stream) << 32) + static_cast<std::uint64_t>(index));
}

}  // namespace lockstep::train
