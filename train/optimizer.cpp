#include "train/optimizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "compile/support/error.h"

namespace lockstep::train {
namespace {

// A product with 0 is 0 exactly when the value is finite; summing it up finds any that is not.
bool all_finite(std::span<const float> values) {
  float sum = 0;
  for (const float v : values) sum += v * 0.0f;
  return sum == 0.0f;
}

}  // namespace

OptimizerKind parse_optimizer(const std::string& name) {
  if (name == "adam") return OptimizerKind::kAdam;
  if (name == "sgd") return OptimizerKind::kSgd;
  throw InputError(fmt::format("optimizer '{}' is unknown; there are adam and sgd", name));
}

OptimizerState initial_state(OptimizerKind kind, std::size_t count) {
  OptimizerState state;
  state.first.assign(count, 0.0f);
  if (kind == OptimizerKind::kAdam) state.second.assign(count, 0.0f);
  return state;
}

bool optimizer_step(OptimizerKind kind, std::int64_t step, double learning_rate,
                    std::span<float> parameter, std::span<const float> gradient,
                    OptimizerState& state) {
  LOCKSTEP_ASSERT(step >= 1 && parameter.size() == gradient.size() &&
                  state.first.size() == parameter.size());
  if (kind == OptimizerKind::kSgd) {
    constexpr float kMomentum = 0.9f;
    const auto rate = static_cast<float>(learning_rate);
    for (std::size_t i = 0; i < parameter.size(); ++i) {
      state.first[i] = kMomentum * state.first[i] + gradient[i];
      parameter[i] -= rate * state.first[i];
    }
    return all_finite(parameter);
  }
  constexpr float kBeta1 = 0.9f, kBeta2 = 0.999f, kEpsilon = 1e-8f;
  const double correction1 = 1 - std::pow(0.9, static_cast<double>(step));
  const double correction2 = 1 - std::pow(0.999, static_cast<double>(step));
  const auto rate = static_cast<float>(learning_rate / correction1);
  const auto root_correction2 = static_cast<float>(std::sqrt(correction2));
  for (std::size_t i = 0; i < parameter.size(); ++i) {
    const float g = gradient[i];
    state.first[i] = kBeta1 * state.first[i] + (1 - kBeta1) * g;
    state.second[i] = kBeta2 * state.second[i] + (1 - kBeta2) * g * g;
    parameter[i] -=
        rate * state.first[i] / (std::sqrt(state.second[i]) / root_correction2 + kEpsilon);
  }
  return all_finite(parameter);
}

double scheduled_learning_rate(double peak, std::int64_t step, std::int64_t steps) {
  constexpr double kFloor = 0.01;
  const auto warm_up = std::max<std::int64_t>(1, steps / 50);
  if (step < warm_up) return peak * static_cast<double>(step + 1) / static_cast<double>(warm_up);
  const double done = static_cast<double>(step - warm_up) /
                      static_cast<double>(std::max<std::int64_t>(1, steps - warm_up));
  return peak *
         (kFloor + (1 - kFloor) * 0.5 * (1 + std::cos(std::numbers::pi * std::min(done, 1.0))));
}

}  // namespace lockstep::train
