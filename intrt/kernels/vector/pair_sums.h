// Where a variant sums products in 16 bits first (kSumsPairs): weights are split in such a way that
// no sum leaves them. What is too much of a step's weights, its rest, is multiplied once more, with
// the same codes, in a step of its own; splits of a weight add up to it, so the sum is the same.
#pragma once

#include "intrt/kernels/vector/geometry.h"

namespace intrt {
namespace {

// A sum has two products or, with codes below 128, two of each of two steps. The most that its
// positive and that its negative weights may add up to in magnitude: 127 * 258 and 255 * 128 are
// below 2^15.
inline int most_pair_weights(uint32_t code_offset) { return code_offset == 0 ? 258 : 128; }

// Takes from the kDepth weights of a lane what is too much for sums of `most`, and adds it to the
// rest. `before`, if not null: weights of the step before, which has sums with this one and itself
// stays within them. False: nothing was too much.
inline bool split_weights(const Weight* before, Weight* weights, Weight* rest, int most) {
  bool is_split = false;
  for (size_t pair = 0; pair < kDepth; pair += 2)
    for (int sign = -1; sign <= 1; sign += 2) {
      const auto part = [sign](int weight) { return sign * weight > 0 ? sign * weight : 0; };
      int excess = -most;
      for (size_t i = pair; i < pair + 2; ++i)
        excess += part(weights[i]) + (before == nullptr ? 0 : part(before[i]));
      for (size_t i = pair; i < pair + 2 && excess > 0; ++i) {
        const int of_weight = part(weights[i]), taken = of_weight < excess ? of_weight : excess;
        weights[i] = static_cast<Weight>(weights[i] - sign * taken);
        rest[i] = static_cast<Weight>(rest[i] + sign * taken);
        excess -= taken;
        is_split = is_split || taken > 0;
      }
    }
  return is_split;
}

}  // namespace
}  // namespace intrt
