#include "train/parameter_update.h"

#include <torch/torch.h>

#include <atomic>

#include "train/parallel.h"

namespace lockstep::train {

bool update_parameter(const OptimizerSpec& spec, std::int64_t step, double learning_rate,
                      torch::Tensor parameter, OptimizerState& state) {
  if (!parameter.grad().defined()) return true;
  const torch::NoGradGuard values_only;
  const torch::Tensor gradient = parameter.grad().to(torch::kCPU).contiguous();
  torch::Tensor here = parameter.to(torch::kCPU);
  float* values = here.data_ptr<float>();
  const float* gradients = gradient.data_ptr<float>();
  std::atomic<bool> finite = true;
  for_each_range(here.numel(), [&](std::int64_t begin, std::int64_t end) {
    const auto first = static_cast<std::size_t>(begin),
               count = static_cast<std::size_t>(end - begin);
    if (!optimizer_step(spec, step, learning_rate, {values + first, count},
                        {gradients + first, count}, slice(state, first, count)))
      finite = false;
  });
  if (!parameter.is_cpu()) parameter.copy_(here);
  return finite;
}

}  // namespace lockstep::train
