// SplitMix64 (Steele, Lea, Flood 2014): a small generator whose numbers are the same on every
// machine, for shuffling and for generated data.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace lockstep::train {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

  // Uniform in [0, bound) up to 2^-32; 1 <= bound < 2^32.
  std::int64_t below(std::int64_t bound) {
    return static_cast<std::int64_t>(((next() >> 32) * static_cast<std::uint64_t>(bound)) >> 32);
  }

  // 0 .. count-1 in random order.
  std::vector<std::int64_t> permutation(std::int64_t count) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) order[static_cast<std::size_t>(i)] = i;
    for (std::int64_t i = count - 1; i > 0; --i)
      std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(below(i + 1))]);
    return order;
  }

 private:
  std::uint64_t state_;
};

// A seed for one of several independent streams.
inline std::uint64_t mix_seed(std::uint64_t seed, std::uint64_t stream) {
  Random random(seed ^ (stream * 0xD1B54A32D192ED03u));
  return random.next();
}

}  // namespace lockstep::train
