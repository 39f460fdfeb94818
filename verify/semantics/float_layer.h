// An operator that is one float function of each element: the same for all, or one per channel.
#pragma once

#include <vector>

#include "verify/semantics/operators.h"

namespace lockstep::verify {

class FloatLayer final : public ExactOperator {
 public:
  // `steps`: one, or one per channel (dimension 0).
  FloatLayer(const Node& node, const Format& input, std::vector<FloatStep> steps);
  void run(std::span<const Values> inputs, std::span<std::int64_t> output) const override;

 private:
  const Format& input_;
  std::vector<FloatStep> steps_;
};

}  // namespace lockstep::verify
