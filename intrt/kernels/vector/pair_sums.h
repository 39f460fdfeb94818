// Where a variant sums products in 16 bits first (kSumsPairs): weights are split in such a way that
// no sum leaves them. What is too much of a step's weights, its rest, is multiplied once more, with
// the same codes, in a step of its own; splits of a weight add up to it, so the sum is the same.
#pragma once

#include "intrt/kernels/vector/geometry.h"

namespace intrt {
namespace {

// The most that the positive and that the negative weights of a sum may add up to in magnitude:
// 127 * 258, with codes that are not negative, and 255 * 128 are below 2^15.
inline int most_pair_weights(uint32_t code_offset) { return code_offset == 0 ? 258 : 128; }

// What they add up to so far, in the sums of the pairs of a lane.
struct PairSums {
  int of[(kDepth + 1) / 2][2] = {};

  PairSums() = default;
  // Of one step.
  explicit PairSums(const Weight* weights) {
    for (size_t i = 0; i < kDepth; ++i) {
      of[i / 2][0] += weights[i] > 0 ? weights[i] : 0;
      of[i / 2][1] -= weights[i] < 0 ? weights[i] : 0;
    }
  }

  // Adds those of a step, up to `most`; returns the largest excess, that of one sum.
  int add(const PairSums& step, int most) {
    int largest = 0;
    for (size_t pair = 0; pair < (kDepth + 1) / 2; ++pair)
      for (size_t sign = 0; sign < 2; ++sign) {
        int& sum = of[pair][sign];
        sum += step.of[pair][sign];
        const int excess = sum > most ? sum - most : 0;
        sum -= excess;
        largest = excess > largest ? excess : largest;
      }
    return largest;
  }
};

// Adds the kDepth weights of a lane to sums, takes from them what is too much for sums of `most`,
// and adds that to the rest. False: nothing was too much.
inline bool split_weights(PairSums& sums, Weight* weights, Weight* rest, int most) {
  bool is_split = false;
  for (size_t i = 0; i < kDepth; ++i) {
    const int sign = weights[i] < 0 ? -1 : 1, size = sign * weights[i];
    int& sum = sums.of[i / 2][weights[i] < 0 ? 1 : 0];
    const int kept = size < most - sum ? size : most - sum;
    sum += kept;
    if (kept == size) continue;
    weights[i] = static_cast<Weight>(sign * kept);
    rest[i] = static_cast<Weight>(rest[i] + sign * (size - kept));
    is_split = true;
  }
  return is_split;
}
// Of a step that shares its sums with no other.
inline bool split_weights(Weight* weights, Weight* rest, int most) {
  PairSums sums;
  return split_weights(sums, weights, rest, most);
}

// How many steps may share their sums, and the time of one of them, in hundredths of that of one
// alone: measured in registers on Zen 3, in tiles of as many windows.
struct Sharing {
  uint32_t steps, time;
};
constexpr Sharing kSharings[] = {{1, 100}, {2, 80}, {3, 74}, {4, 71}, {6, 68}, {8, 66}};

}  // namespace
}  // namespace intrt
