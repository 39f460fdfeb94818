// What linear operators have in common: sums of products on one grid per output channel, and behind
// them, where the bias stays float, one float32 addition.
#pragma once

#include "verify/semantics/operators.h"

namespace lockstep::verify {

class LinearSum : public ExactOperator {
 public:
  const LinearConstants* constants() const override { return &constants_; }
  const Format* sums() const override {
    return constants_.float_bias.empty() ? nullptr : &sums_format_;
  }
  void run(std::span<const Values> inputs, std::span<std::int64_t> output) const final;

 protected:
  // To be called by the constructor when constants_ is there; `shape` is that of the result.
  void set_formats(const Node& node, std::vector<std::int64_t> shape);
  // The integer sums.
  virtual void run_sums(Values input, std::span<std::int64_t> output) const = 0;

  LinearConstants constants_;

 private:
  Format sums_format_;
};

// What both directions of a convolution demand; the weight is [outer, inner / groups, kernel...].
// InputError names the layer for an input of other channels, groups that do not divide both channel
// numbers, and a weight of another shape.
void require_convolution_shapes(const Node& node, const NodeParameters& parameters,
                                const Format& input, const SlidingWindow& window,
                                std::int64_t outer, std::int64_t inner);

// For each channel (dimension 0) the range of its codes.
std::vector<CodeRange> channel_ranges(const Format& format);
// The same and 0, which padding adds.
std::vector<CodeRange> channel_ranges_with_zero(const Format& format);

}  // namespace lockstep::verify
