// Where a variant sums products in 16 bits first (kSumsPairs): weights are split in such a way that
// no sum of a step leaves them. What is too much of its weights, its rest, is multiplied once more,
// with the same codes, in a step of its own; splits of a weight add up to it, so the sum is the
// same.
#pragma once

#include "intrt/kernels/vector/geometry.h"

namespace intrt {
namespace {

// The most that the positive and that the negative weights of a sum may add up to in magnitude:
// 127 * 258, with codes that are not negative, and 255 * 128 are below 2^15.
inline int most_pair_weights(uint32_t code_offset) { return code_offset == 0 ? 258 : 128; }
// Where codes are below 128, two weights always have room.
inline bool may_have_rests(uint32_t code_offset) { return kSumsPairs && code_offset != 0; }

// What they add up to, in the sums of the pairs of a lane.
struct PairSums {
  int of[(kDepth + 1) / 2][2] = {};

  // Those of a step.
  void add(const Weight* weights) {
    for (size_t i = 0; i < kDepth; ++i) {
      of[i / 2][0] += weights[i] > 0 ? weights[i] : 0;
      of[i / 2][1] -= weights[i] < 0 ? weights[i] : 0;
    }
  }
  // Whether none is more than `most`.
  bool fit(int most) const {
    for (const auto& pair : of)
      if (pair[0] > most || pair[1] > most) return false;
    return true;
  }
};

// Takes from the kDepth weights of a lane what is too much for sums of `most`, and adds that to the
// rest. False: nothing was too much.
inline bool split_weights(Weight* weights, Weight* rest, int most) {
  PairSums sums;
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

}  // namespace
}  // namespace intrt
