#include "verify/semantics/linear_sum.h"

#include "compile/support/error.h"

#include <fmt/format.h>

#include <algorithm>

#include "verify/semantics/aligned.h"
#include "verify/semantics/index.h"

namespace lockstep::verify {

void LinearSum::set_formats(const Node& node, std::vector<std::int64_t> shape) {
  Format& sums = sums_format_;
  sums.shape = std::move(shape);
  const std::int64_t channels = sums.shape[0];
  const std::int64_t plane = sums.element_count() / channels;
  std::vector<CodeRange> ranges;
  for (std::int64_t c = 0; c < channels; ++c) {
    sums.decimals.insert(sums.decimals.end(), at(plane), constants_.accumulator_decimals[at(c)]);
    ranges.insert(ranges.end(), at(plane), constants_.sum_ranges[at(c)]);
  }
  set_ranges(sums, std::move(ranges));
  format_ = sums;
  if (constants_.float_bias.empty()) return;

  std::vector<FloatStep> steps;
  for (const float bias : constants_.float_bias) steps.push_back({FloatFunction::kAdd, bias});
  format_ = append_steps(sums, node.name, node.name, steps);
  for (ExactBase& base : format_.bases) base.sums = true;
}

void LinearSum::run(std::span<const Values> inputs, std::span<std::int64_t> output) const {
  run_sums(inputs[0], output);
  if (constants_.float_bias.empty()) return;
  const std::size_t plane = output.size() / constants_.float_bias.size();
  for (std::size_t i = 0; i < output.size(); ++i) {
    const float sum = enter_float(output[i], sums_format_.decimal(static_cast<std::int64_t>(i)));
    output[i] = real_to_bits(sum + constants_.float_bias[i / plane]);
  }
}

void require_convolution_shapes(const Node& node, const NodeParameters& parameters,
                                const Format& input, const SlidingWindow& window,
                                std::int64_t outer, std::int64_t inner) {
  const std::int64_t in_channels = node.integer("in_channels"),
                     out_channels = node.integer("out_channels"), groups = node.integer("groups");
  if (input.shape[0] != in_channels)
    throw InputError(fmt::format("layer '{}': input of shape {}, but the layer takes {} channels",
                                 node.name, shape_text(input.shape), in_channels));
  if (groups < 1 || in_channels % groups != 0 || out_channels % groups != 0)
    throw InputError(fmt::format("layer '{}': groups = {} divides not both {} and {} channels",
                                 node.name, groups, in_channels, out_channels));
  std::vector<std::int64_t> weight_shape = {outer, inner / groups};
  if (window.axes == 2) weight_shape.push_back(window.kernel.height);
  weight_shape.push_back(window.kernel.width);
  if (parameters.weight_shape != weight_shape)
    throw InputError(fmt::format("layer '{}': weight of shape {}, but its attributes say {}",
                                 node.name, shape_text(parameters.weight_shape),
                                 shape_text(weight_shape)));
}

std::vector<CodeRange> channel_ranges(const Format& format) {
  const std::int64_t plane = format.element_count() / format.shape.at(0);
  std::vector<CodeRange> result;
  for (std::int64_t e = 0; e < format.element_count(); ++e) {
    const CodeRange range = format.range(e);
    if (e % plane == 0) result.push_back(range);
    result.back() = {std::min(result.back().lo, range.lo), std::max(result.back().hi, range.hi)};
  }
  return result;
}

std::vector<CodeRange> channel_ranges_with_zero(const Format& format) {
  std::vector<CodeRange> result = channel_ranges(format);
  for (CodeRange& range : result)
    range = {std::min<std::int64_t>(range.lo, 0), std::max<std::int64_t>(range.hi, 0)};
  return result;
}

}  // namespace lockstep::verify
