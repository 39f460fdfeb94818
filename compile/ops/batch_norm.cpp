// fl(fl(x * alpha) + beta), a float function with constants of its own in each channel
// (docs/arithmetic.md). It is never folded into the weights before it: that would round.
#include "compile/ops/batch_norm.h"

#include <fmt/format.h>

#include <cmath>

namespace lockstep::ops {

NodeValue lower_batch_norm(Lowering& lowering) {
  const BatchNormParameters& p = lowering.parameters().batch_norm.value();
  if (lowering.value().shape.c != static_cast<std::int64_t>(p.weight.size()))
    lowering.refuse(fmt::format("its input has shape {}, but it normalizes {} channels",
                                lowering.shape_text(), p.weight.size()));
  std::vector<FloatStep> steps;
  for (std::size_t c = 0; c < p.weight.size(); ++c) {
    const double deviation =
        std::sqrt(static_cast<double>(p.running_var[c]) + lowering.node().number("eps"));
    const double scale = static_cast<double>(p.weight[c]) / deviation;
    const double moved = static_cast<double>(p.running_mean[c]) * scale;
    const FloatStep step{.kind = FloatStep::Kind::kAffine,
                         .a = static_cast<float>(scale),
                         .b = static_cast<float>(static_cast<double>(p.bias[c]) - moved)};
    if (!std::isfinite(step.a) || !std::isfinite(step.b))
      lowering.refuse(
          fmt::format("channel {}: running_var + eps = {} gives no finite scale", c,
                      static_cast<double>(p.running_var[c]) + lowering.node().number("eps")));
    steps.push_back(step);
  }
  return append(lowering, steps);
}

}  // namespace lockstep::ops
