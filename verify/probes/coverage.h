// Which weights a probe would find out. A weight of a linear operator is covered upwards
// (downwards) once some probe has an output code that changes when the weight is one step higher
// (lower): then every higher (lower) value of that weight changes it too, because what follows a
// sum never decreases and so keeps its direction. Worked out from the sum and its distance to the
// next threshold; nothing is run again.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "verify/proof/plan_check.h"
#include "verify/proof/plan_reader.h"
#include "verify/proof/reach.h"

namespace lockstep::verify {

// How much an accumulator may grow or shrink before its output code changes: at least 1, or
// `none`, which is larger than any step looked for.
struct Distances {
  std::int64_t up, down;
};

// A convolution or linear layer of the plan. Codes are in (C,H,W) order, weights as in reach.h with
// the bias last.
class LinearProbe {
 public:
  LinearProbe(PlanOp op, const VisibleTensor& input, const VisibleTensor& output,
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
  std::int64_t sum(std::span<const std::int64_t> codes, std::int64_t channel,
                   std::int64_t position) const;
  std::int64_t output_code(std::int64_t channel, std::int64_t accumulator) const;
  Distances distances(std::int64_t channel, std::int64_t accumulator) const;

  // Weights and biases of which a single step may change some output code: not those behind a mask,
  // not those that meet only zeros, not those of a sum that no input brings near a threshold.
  std::int64_t countable() const { return countable_; }
  std::int64_t uncovered() const { return uncovered_; }
  std::int64_t uncovered(std::int64_t channel) const {
    return open_[static_cast<std::size_t>(channel)];
  }
  bool is_covered(std::int64_t channel, std::int64_t k) const {
    return missing_[static_cast<std::size_t>(channel * (reach_.fan_in + 1) + k)] == 0;
  }
  // Takes note of what input `codes` covers.
  void add(std::span<const std::int64_t> codes);

 private:
  void find_countable(std::int64_t channel, std::int64_t position);
  void add_position(std::span<const std::int64_t> codes, std::int64_t channel,
                    std::int64_t position);
  void cover(std::int64_t channel, std::int64_t k, bool upwards, bool downwards);

  PlanOp op_;
  Reach reach_;
  ElementFacts facts_;
  std::int64_t channels_, plane_;
  std::int64_t largest_code_ = 1;      // magnitude of any input code
  std::vector<std::int64_t> rows_;     // fan_in weights and the bias of each channel
  std::vector<std::uint8_t> keep_;     // per output element
  std::vector<std::uint8_t> missing_;  // per weight: 1 upwards, 2 downwards
  std::vector<std::int64_t> open_;     // per channel: weights of which something is missing
  std::int64_t countable_ = 0, uncovered_ = 0;
};

}  // namespace lockstep::verify
