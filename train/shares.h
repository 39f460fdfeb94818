// How a batch, or the test images, are shared out among the processes of a group.
#pragma once

#include <cstdint>

namespace lockstep::train {

struct Share {
  std::int64_t begin = 0, count = 0;
};

// The share of process `rank` of `size` in `count` things: contiguous, by rank, and no share is
// larger than another by more than one.
constexpr Share share_of(std::int64_t count, std::int64_t rank, std::int64_t size) {
  const std::int64_t begin = count * rank / size;
  return {begin, count * (rank + 1) / size - begin};
}

}  // namespace lockstep::train
