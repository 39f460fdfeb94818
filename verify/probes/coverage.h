// Which wrong weights probes would find out. What follows a sum never decreases, or never
// increases, so a weight that is too high by more changes an output code wherever one that is too
// high by less does, as long as the sum stays within 32 bits. Per weight and direction there is a
// least wrong value that can change a code: mostly the next one, further away where no sum comes
// near a threshold. The weight is covered once some probe has a code that changes with the least
// one upwards, and some probe one that changes with the least one downwards: then every wrong value
// that can change a code, for any input, is found. Worked out from the sum and its distance to the
// next threshold; nothing is run again.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "verify/proof/plan_check.h"
#include "verify/proof/plan_function.h"
#include "verify/proof/plan_reader.h"
#include "verify/proof/reach.h"

namespace lockstep::verify {

// How much an accumulator must grow or shrink for its output code to change: at least 1.
struct Distances {
  std::int64_t up, down;
};

// The sums of one output element, over all inputs, and the thresholds around them.
struct Surroundings {
  std::int64_t lo, hi;  // of the sum
  bool threshold;       // the output code at `lo` is not the one at `hi`
  // Else: how far above `hi` and below `lo` the code changes; beyond all wrong values: never.
  std::int64_t above = 0, below = 0;
};

// The least wrong value of a number that may change a code: `size` steps away, 0 where there is
// none, at an input element whose code is `code`.
struct Jump {
  std::int64_t size = 0, code = 0;
};

// A convolution, a transposed one or a linear layer of the plan. Codes are in (C,H,W) order,
// weights as in reach.h with the bias last.
class LinearProbe {
 public:
  // Whether what follows the sums of a weighted operator never turns back, in each channel.
  static bool can_probe(const PlanOp& op, const VisibleTensor& output);
  // Requires can_probe. Keeps a reference to `op`.
  LinearProbe(const PlanOp& op, const VisibleTensor& input, const VisibleTensor& output,
              const ElementFacts& input_facts);

  const PlanOp& op() const { return op_; }
  const Reach& reach() const { return reach_; }
  const ElementFacts& input_facts() const { return facts_; }
  std::int64_t channels() const { return channels_; }
  std::int64_t plane() const { return plane_; }
  std::int64_t weight(std::int64_t channel, std::int64_t k) const {
    return rows_[static_cast<std::size_t>(channel * (reach_.fan_in + 1) + k)];
  }
  bool keeps(std::int64_t channel, std::int64_t position) const {
    return keep_[static_cast<std::size_t>(channel * plane_ + position)] != 0;
  }
  struct Met {
    std::int64_t k, element;
  };
  // The weights of a channel that meet an input element at `position`, and which.
  std::vector<Met> met(std::int64_t channel, std::int64_t position) const;
  std::int64_t sum(std::span<const std::int64_t> codes, std::int64_t channel,
                   std::int64_t position) const;
  std::int64_t output_code(std::int64_t channel, std::int64_t accumulator) const {
    return functions_[static_cast<std::size_t>(channel)].apply(accumulator);
  }
  bool is_rising(std::int64_t channel) const {
    return functions_[static_cast<std::size_t>(channel)].direction() == Direction::kRising;
  }
  Surroundings surroundings(std::int64_t channel, std::int64_t position) const;
  // Of number `k`, which meets an element of codes in [lo, hi] (the bias: {1, 1}) at a position
  // with these surroundings.
  Jump least_jump(std::int64_t channel, std::int64_t k, bool upwards, std::int64_t lo,
                  std::int64_t hi, const Surroundings& around) const;

  // Weights and biases of which some wrong value that their type can hold may change an output
  // code: not those behind a mask, not those that meet only zeros.
  std::int64_t countable() const { return countable_; }
  std::int64_t uncovered() const { return uncovered_; }
  std::int64_t uncovered(std::int64_t channel) const {
    return open_[static_cast<std::size_t>(channel)];
  }
  // The size of the least jump that no probe has found yet; 0: nothing is missing.
  std::int64_t missing(std::int64_t channel, std::int64_t k, bool upwards) const {
    const Sizes& sizes = missing_[static_cast<std::size_t>(channel * (reach_.fan_in + 1) + k)];
    return upwards ? sizes.up : sizes.down;
  }
  bool is_covered(std::int64_t channel, std::int64_t k) const {
    return missing(channel, k, true) == 0 && missing(channel, k, false) == 0;
  }
  // Whether some sum of the channel reaches a threshold, and whether some sum reaches none.
  bool has_threshold(std::int64_t channel) const {
    return kinds_[static_cast<std::size_t>(channel)].threshold;
  }
  bool has_constant(std::int64_t channel) const {
    return kinds_[static_cast<std::size_t>(channel)].constant;
  }
  // Takes note of what input `codes` covers.
  void add(std::span<const std::int64_t> codes);

 private:
  struct Sizes {  // at most 2^32 - 1, the width of a bias
    std::uint32_t up = 0, down = 0;
  };
  struct Kind {
    bool threshold = false, constant = false;
  };
  std::span<const std::int64_t> row(std::int64_t channel) const;
  Distances distances(std::int64_t channel, std::int64_t accumulator) const;
  void find_jumps(std::int64_t channel, std::int64_t position);
  void add_position(std::span<const std::int64_t> codes, std::int64_t channel,
                    std::int64_t position);
  void cover(std::int64_t channel, std::int64_t k, std::int64_t code, const Distances& distance);

  const PlanOp& op_;
  std::vector<PlanFunction> functions_;  // per channel
  Reach reach_;
  ElementFacts facts_;
  std::int64_t channels_, plane_;
  std::int64_t furthest_ = 1;       // no least jump moves a sum by more
  std::vector<std::int64_t> rows_;  // fan_in weights and the bias of each channel
  std::vector<std::uint8_t> keep_;  // per output element
  std::vector<Sizes> missing_;      // per weight
  std::vector<Kind> kinds_;         // per channel
  std::vector<std::int64_t> open_;  // per channel: weights of which something is missing
  std::int64_t countable_ = 0, uncovered_ = 0;
};

}  // namespace lockstep::verify
