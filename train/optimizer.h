// SGD, Adam, AdamW and Adadelta on plain float arrays, with torch.optim's formulas. LibTorch's own
// optimizers are not used: it has no Adadelta, and a checkpoint must hold the whole state exactly.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::train {

enum class OptimizerKind : std::uint8_t { kAdadelta, kAdam, kAdamW, kSgd };
inline constexpr OptimizerKind kOptimizerKinds[] = {OptimizerKind::kAdadelta, OptimizerKind::kAdam,
                                                    OptimizerKind::kAdamW, OptimizerKind::kSgd};
std::string_view optimizer_name(OptimizerKind kind);     // "adadelta", "adam", "adamw", "sgd"
OptimizerKind parse_optimizer(const std::string& name);  // InputError names those that exist

// A kind reads only its own members: sgd momentum and nesterov, adam and adamw the betas and
// epsilon, adadelta rho and epsilon; all read the weight decay.
struct OptimizerSpec {
  OptimizerKind kind = OptimizerKind::kAdam;
  double learning_rate = 1e-3;  // above 0; schedules scale it
  double weight_decay = 0;      // not negative; an L2 term of the gradient, in adamw decoupled
  double momentum = 0;          // in [0, 1]
  bool nesterov = false;        // needs momentum
  double beta1 = 0.9, beta2 = 0.999;  // in [0, 1)
  double rho = 0.9;                   // in [0, 1]
  double epsilon = 1e-8;              // above 0
  bool operator==(const OptimizerSpec&) const = default;
};

// torch.optim's defaults; its SGD has no learning rate of its own, here it is 0.01.
OptimizerSpec default_optimizer(OptimizerKind kind);

// sgd: `first` is the momentum buffer, empty without momentum. adam, adamw: first and second
// moment. adadelta: the running squares of gradients and of updates. Else empty.
struct OptimizerState {
  std::vector<float> first, second;
};

// The state of a parameter with `count` elements before the first step: zeros.
OptimizerState initial_state(const OptimizerSpec& spec, std::size_t count);

// The state of some neighbouring elements of a parameter; what the state has not is empty.
struct OptimizerStateSlice {
  std::span<float> first, second;
};
OptimizerStateSlice slice(OptimizerState& state, std::size_t begin, std::size_t count);

// One step of a parameter, or of neighbouring elements of one, at `learning_rate` (which stands for
// the spec's); `step` counts from 1. Each element is computed by itself.
// The sums are torch.optim's in float32, without its fused multiply-adds: the same up to float
// rounding. False when a new value is not finite.
bool optimizer_step(const OptimizerSpec& spec, std::int64_t step, double learning_rate,
                    std::span<float> parameter, std::span<const float> gradient,
                    OptimizerStateSlice state);

}  // namespace lockstep::train
