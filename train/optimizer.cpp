#include "train/optimizer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "compile/support/error.h"

namespace lockstep::train {
namespace {

// In the order of OptimizerKind.
constexpr std::string_view kNames[] = {"adadelta", "adam", "adamw", "sgd"};

// One parameter and what its step reads. torch.optim computes scalars in double and rounds each
// once to the tensors' float32; so do the functions below.
struct Step {
  const OptimizerSpec& spec;
  std::int64_t number;
  double learning_rate;
  std::span<float> parameter;
  std::span<const float> gradient;
  std::span<float> first, second;
};

float as_float(double value) { return static_cast<float>(value); }

void sgd(const Step& s) {
  const float rate = as_float(s.learning_rate), decay = as_float(s.spec.weight_decay),
              momentum = as_float(s.spec.momentum);
  for (std::size_t i = 0; i < s.parameter.size(); ++i) {
    float update = s.gradient[i] + decay * s.parameter[i];
    if (s.spec.momentum > 0) {
      s.first[i] = momentum * s.first[i] + update;
      update = s.spec.nesterov ? update + momentum * s.first[i] : s.first[i];
    }
    s.parameter[i] -= rate * update;
  }
}

void adam(const Step& s) {
  const bool decoupled = s.spec.kind == OptimizerKind::kAdamW;
  const auto n = static_cast<double>(s.number);
  const float kept = as_float(decoupled ? 1 - s.learning_rate * s.spec.weight_decay : 1.0),
              decay = as_float(decoupled ? 0.0 : s.spec.weight_decay),
              rate = as_float(s.learning_rate / (1 - std::pow(s.spec.beta1, n))),
              root_correction = as_float(std::sqrt(1 - std::pow(s.spec.beta2, n))),
              beta1 = as_float(s.spec.beta1), rest1 = as_float(1 - s.spec.beta1),
              beta2 = as_float(s.spec.beta2), rest2 = as_float(1 - s.spec.beta2),
              epsilon = as_float(s.spec.epsilon);
  for (std::size_t i = 0; i < s.parameter.size(); ++i) {
    s.parameter[i] *= kept;
    const float g = s.gradient[i] + decay * s.parameter[i];
    s.first[i] = beta1 * s.first[i] + rest1 * g;
    s.second[i] = beta2 * s.second[i] + rest2 * g * g;
    s.parameter[i] -= rate * s.first[i] / (std::sqrt(s.second[i]) / root_correction + epsilon);
  }
}

void adadelta(const Step& s) {
  const float rate = as_float(s.learning_rate), decay = as_float(s.spec.weight_decay),
              rho = as_float(s.spec.rho), rest = as_float(1 - s.spec.rho),
              epsilon = as_float(s.spec.epsilon);
  for (std::size_t i = 0; i < s.parameter.size(); ++i) {
    const float g = s.gradient[i] + decay * s.parameter[i];
    s.first[i] = rho * s.first[i] + rest * g * g;
    const float update = std::sqrt(s.second[i] + epsilon) / std::sqrt(s.first[i] + epsilon) * g;
    s.second[i] = rho * s.second[i] + rest * update * update;
    s.parameter[i] -= rate * update;
  }
}

// A product with 0 is 0 exactly when the value is finite; summing it up finds any that is not.
bool all_finite(std::span<const float> values) {
  float sum = 0;
  for (const float v : values) sum += v * 0.0f;
  return sum == 0.0f;
}

}  // namespace

std::string_view optimizer_name(OptimizerKind kind) {
  return kNames[static_cast<std::size_t>(kind)];
}

OptimizerKind parse_optimizer(const std::string& name) {
  const auto* const found = std::ranges::find(kNames, name);
  if (found == std::end(kNames))
    throw InputError(
        fmt::format("optimizer '{}' is unknown; there are {}", name, fmt::join(kNames, ", ")));
  return static_cast<OptimizerKind>(found - std::begin(kNames));
}

OptimizerSpec default_optimizer(OptimizerKind kind) {
  OptimizerSpec spec;
  spec.kind = kind;
  if (kind == OptimizerKind::kSgd) spec.learning_rate = 0.01;
  if (kind == OptimizerKind::kAdamW) spec.weight_decay = 0.01;
  if (kind == OptimizerKind::kAdadelta) spec.learning_rate = 1.0, spec.epsilon = 1e-6;
  return spec;
}

OptimizerState initial_state(const OptimizerSpec& spec, std::size_t count) {
  const bool is_sgd = spec.kind == OptimizerKind::kSgd;
  OptimizerState state;
  if (!is_sgd || spec.momentum > 0) state.first.assign(count, 0.0f);
  if (!is_sgd) state.second.assign(count, 0.0f);
  return state;
}

OptimizerStateSlice slice(OptimizerState& state, std::size_t begin, std::size_t count) {
  const auto part = [&](std::vector<float>& values) {
    return values.empty() ? std::span<float>() : std::span(values).subspan(begin, count);
  };
  return {part(state.first), part(state.second)};
}

bool optimizer_step(const OptimizerSpec& spec, std::int64_t step, double learning_rate,
                    std::span<float> parameter, std::span<const float> gradient,
                    OptimizerStateSlice state) {
  const bool is_sgd = spec.kind == OptimizerKind::kSgd;
  LOCKSTEP_ASSERT(step >= 1 && parameter.size() == gradient.size());
  LOCKSTEP_ASSERT(state.first.size() == (is_sgd && spec.momentum <= 0 ? 0 : parameter.size()));
  LOCKSTEP_ASSERT(state.second.size() == (is_sgd ? 0 : parameter.size()));
  const Step s = {spec, step, learning_rate, parameter, gradient, state.first, state.second};
  switch (spec.kind) {
    case OptimizerKind::kAdadelta:
      adadelta(s);
      break;
    case OptimizerKind::kAdam:
    case OptimizerKind::kAdamW:
      adam(s);
      break;
    case OptimizerKind::kSgd:
      sgd(s);
      break;
  }
  return all_finite(parameter);
}

}  // namespace lockstep::train
