// out = fl(fl(x * scale) + shift) for each channel, with scale and shift from the running
// statistics in double.
#include <fmt/format.h>

#include <cmath>

#include "compile/support/error.h"
#include "verify/semantics/float_layer.h"
#include "verify/semantics/index.h"

namespace lockstep::verify {

OperatorPointer make_batch_norm(const Node& node, const NodeParameters& parameters,
                                Formats inputs) {
  const Format& input = *inputs[0];
  const std::int64_t channels = node.integer("num_features");
  const std::size_t rank = input.shape.size();
  const bool fits = node.op == "batch_norm2d" ? rank == 3 : rank == 1 || rank == 2;
  if (!fits || input.shape[0] != channels)
    throw InputError(fmt::format("layer '{}': input of shape {}, but {} of {} features takes {}",
                                 node.name, shape_text(input.shape), node.op, channels,
                                 node.op == "batch_norm2d" ? "[C, H, W]" : "[C] or [C, L]"));
  LOCKSTEP_ASSERT(parameters.batch_norm.has_value());
  const BatchNormParameters& norm = *parameters.batch_norm;
  const double epsilon = node.number("eps");
  std::vector<FloatStep> steps;
  for (std::size_t c = 0; c < at(channels); ++c) {
    const double scale = static_cast<double>(norm.weight[c]) /
                         std::sqrt(static_cast<double>(norm.running_var[c]) + epsilon);
    const double shift =
        static_cast<double>(norm.bias[c]) - static_cast<double>(norm.running_mean[c]) * scale;
    const FloatStep step = {FloatFunction::kScaleAdd, static_cast<float>(scale),
                            static_cast<float>(shift)};
    if (!std::isfinite(step.a) || !std::isfinite(step.b))
      throw InputError(fmt::format(
          "layer '{}': channel {} has scale {} and shift {}, which are no float32 numbers (weight "
          "{}, bias {}, running_mean {}, running_var {}, eps {})",
          node.name, c, scale, shift, norm.weight[c], norm.bias[c], norm.running_mean[c],
          norm.running_var[c], epsilon));
    steps.push_back(step);
  }
  return std::make_unique<FloatLayer>(node, input, std::move(steps));
}

}  // namespace lockstep::verify
