// An optimizer's step for a parameter of a network, on LibTorch's threads.
#pragma once

#include <torch/types.h>

#include "train/optimizer.h"

namespace lockstep::train {

// Applies optimizer_step (optimizer.h) to `parameter` (float32) with its gradient; nothing happens
// without one. The optimizer runs on the CPU: what lives elsewhere is brought there and back. False
// when a new value is not finite. The number of threads changes no bit.
bool update_parameter(const OptimizerSpec& spec, std::int64_t step, double learning_rate,
                      torch::Tensor parameter, OptimizerState& state);

}  // namespace lockstep::train
