// A linear layer, one output element at a time: which products make it, between which ends its
// accumulator provably lies, and what it is.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "verify/proof/reach.h"
#include "verify/semantics/aligned.h"
#include "verify/semantics/exact_network.h"
#include "verify/semantics/index.h"

namespace lockstep::verify {

class SumLayer {
 public:
  // Keeps references. `node` is a linear operator.
  SumLayer(const ExactNetwork& network, const Node& node);

  const Node& node() const { return node_; }
  std::int64_t channels() const { return constants_.outputs; }
  std::int64_t fan_in() const { return constants_.fan_in; }
  std::int64_t positions() const { return positions_; }

  // A position in the plane of a channel, and the proved end of the accumulators there.
  struct End {
    std::int64_t position = 0, bound = 0;
  };
  struct Ends {
    End smallest, largest;
  };
  // Where the intervals of the input leave a channel's accumulators the most room: near the middle
  // of the plane, if that is as good as any. Adds what it cost to `work`.
  Ends ends(std::int64_t channel, std::int64_t& work) const;

  // `input`: the values of what the layer reads.
  std::int64_t accumulator(std::span<const std::int64_t> input, std::int64_t channel,
                           std::int64_t position) const;

  // Positions, `position` among them, whose windows have no input element in common.
  std::vector<std::int64_t> apart(std::int64_t position) const;

  // visit(input element, coefficient) for each product of an output element, in real numbers.
  template <typename Visit>
  void each_coefficient(std::int64_t channel, std::int64_t position, const Visit& visit) const {
    const int decimal = constants_.accumulator_decimals[at(channel)];
    int shift = 0;
    double step = 1;  // 2^shift; nearly always the same for all
    each_weight(channel, position, [&](std::int64_t weight, std::int64_t element) {
      const int wanted =
          (is_linear_ ? input_.decimal(element) : aligned_.format().decimal(element)) - decimal;
      if (wanted != shift) step = std::ldexp(1.0, shift = wanted);
      visit(element, static_cast<double>(weight) * step);
    });
  }

 private:
  // visit(aligned weight, input element), without weights of 0.
  template <typename Visit>
  void each_weight(std::int64_t channel, std::int64_t position, const Visit& visit) const {
    const std::int64_t* const weights =
        constants_.aligned_weights.data() + channel * constants_.fan_in;
    reach_.each(channel, position, [&](std::int64_t k, std::int64_t element) {
      if (weights[k] != 0) visit(weights[k], element);
    });
  }
  CodeRange sum_range(std::int64_t channel, std::int64_t position) const;
  std::int64_t bias(std::int64_t channel) const {
    return constants_.aligned_bias.empty() ? 0 : constants_.aligned_bias[at(channel)];
  }

  const Node& node_;
  const LinearConstants& constants_;
  const Format& input_;
  bool is_linear_;  // each input element has a grid of its own; else each channel
  Aligned aligned_;
  Reach reach_;
  std::int64_t positions_ = 1, width_ = 1;  // of the output's plane
};

}  // namespace lockstep::verify
