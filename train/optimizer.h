// Adam and SGD with momentum on plain float arrays, and the learning-rate schedule. The whole state
// is visible, so that a checkpoint can hold it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lockstep::train {

enum class OptimizerKind : std::uint8_t { kAdam, kSgd };
OptimizerKind parse_optimizer(const std::string& name);  // InputError unless "adam" or "sgd"

// Adam: first and second moment. SGD: `first` is the momentum buffer, `second` stays empty.
struct OptimizerState {
  std::vector<float> first, second;
};

// Prepares the state of a parameter with `count` elements: zeros.
OptimizerState initial_state(OptimizerKind kind, std::size_t count);

// One step of one parameter; `step` counts from 1. Adam: betas 0.9 and 0.999, epsilon 1e-8, as
// torch.optim.Adam. SGD: momentum 0.9, as torch.optim.SGD. False when the new value is not finite.
bool optimizer_step(OptimizerKind kind, std::int64_t step, double learning_rate,
                    std::span<float> parameter, std::span<const float> gradient,
                    OptimizerState& state);

// The learning rate of step `step` (from 0) of `steps`: `peak` with a half cosine down to 1 % of
// it, after a linear warm-up over the first 2 % of the steps.
double scheduled_learning_rate(double peak, std::int64_t step, std::int64_t steps);

}  // namespace lockstep::train
