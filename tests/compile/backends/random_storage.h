// Random storage for weights that a test has made: dense, sparse, or with segments.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "compile/ir/ir.h"
#include "tests/compile/backends/small_programs.h"

namespace lockstep::test {

// Segments of `inputs` channels, of the given shifts in all.
inline std::vector<ir::Segment> random_segments(std::int64_t inputs, int total_shift, Dice& dice) {
  std::vector<ir::Segment> segments;
  for (std::int64_t end = 0; end < inputs;) {
    end = dice.chance(30) ? inputs : dice.between(end + 1, inputs);
    const int shift = segments.empty() ? 0 : static_cast<int>(dice.between(0, total_shift));
    total_shift -= shift;
    segments.push_back({end, shift});
  }
  return segments;
}

// What a weight stands for never grows, so that sums stay within the bounds that they had.
template <typename Kind>
void store_sparsely(Kind& kind, Dice& dice) {
  kind.sparse = true;
  const int zeros = static_cast<int>(dice.between(0, 3)) * 33;
  for (std::int32_t& weight : kind.weights)
    if (dice.chance(zeros)) weight = 0;
}
// `inputs`: input channels of a group. Weights in physical order.
template <typename Kind>
void store_in_segments(Kind& kind, std::int64_t inputs, Dice& dice) {
  kind.segments = random_segments(inputs, static_cast<int>(dice.between(0, 12)), dice);
  const std::vector<int> shifts = ir::weight_shifts(kind.segments, inputs);
  for (std::size_t k = 0; k < kind.weights.size(); ++k)
    kind.weights.data()[k] /= std::int32_t{1} << shifts[k % static_cast<std::size_t>(inputs)];
}

// Any of the three, from a stream of its own: what else is random stays as it is.
template <typename Kind>
void store_anyhow(Kind& kind, std::int64_t inputs) {
  std::uint64_t seed = kind.weights.size();
  for (const std::int32_t weight : kind.weights)
    seed = seed * 31 + static_cast<std::uint32_t>(weight);
  Dice dice(seed);
  const std::int64_t form = dice.between(0, 2);
  if (form == 1) store_sparsely(kind, dice);
  if (form == 2 && !kind.wide) store_in_segments(kind, inputs, dice);
}

}  // namespace lockstep::test
