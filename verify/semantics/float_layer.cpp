#include "verify/semantics/float_layer.h"

namespace lockstep::verify {

FloatLayer::FloatLayer(const Node& node, const Format& input, std::vector<FloatStep> steps)
    : input_(input), steps_(std::move(steps)) {
  format_ = append_steps(input, node.inputs[0], node.name, steps_);
}

void FloatLayer::run(std::span<const Values> inputs, std::span<std::int64_t> output) const {
  const Values input = inputs[0];
  const std::size_t plane = input.size() / static_cast<std::size_t>(format_.shape[0]);
  for (std::size_t i = 0; i < input.size(); ++i) {
    const FloatStep& step = steps_[steps_.size() == 1 ? 0 : i / plane];
    const float x = input_.real
                        ? real_from_bits(input[i])
                        : enter_float(input[i], input_.decimal(static_cast<std::int64_t>(i)));
    output[i] = real_to_bits(step.apply(x));
  }
}

}  // namespace lockstep::verify
