#include "verify/worst/sum_layer.h"

#include <algorithm>

namespace lockstep::verify {
namespace {

// How far apart two output rows (or columns) must be that read no common input.
std::int64_t spacing(std::int64_t kernel, std::int64_t dilation, std::int64_t stride,
                     bool transposed) {
  const std::int64_t extent = (kernel - 1) * dilation + 1;
  const std::int64_t steps = (extent + stride - 1) / stride;
  return transposed ? steps * stride : steps;
}

}  // namespace

SumLayer::SumLayer(const ExactNetwork& network, const Node& node)
    : node_(node),
      constants_(*network.constants(node.name)),
      input_(network.format(node.inputs[0])),
      is_linear_(node.op == "linear"),
      aligned_(node.name, input_),
      reach_(reach_of_node(node, input_, network.format(node.name))) {
  const Format& output = network.format(node.name);
  positions_ = output.element_count() / output.shape[0];
  width_ = reach_.out_width;
}

CodeRange SumLayer::sum_range(std::int64_t channel, std::int64_t position) const {
  CodeRange sum = {bias(channel), bias(channel)};
  each_weight(channel, position, [&](std::int64_t weight, std::int64_t element) {
    const CodeRange input = is_linear_ ? input_.range(element) : aligned_.format().range(element);
    sum.lo += std::min(weight * input.lo, weight * input.hi);
    sum.hi += std::max(weight * input.lo, weight * input.hi);
  });
  return sum;
}

SumLayer::Ends SumLayer::ends(std::int64_t channel, std::int64_t& work) const {
  const std::int64_t height = positions_ / width_;
  const std::int64_t middle = height / 2 * width_ + width_ / 2;
  const CodeRange first = sum_range(channel, middle);
  work += constants_.fan_in;
  Ends result = {{middle, first.lo}, {middle, first.hi}};
  // Of the whole channel, any position and padding; mostly that of every position inside.
  if (first == constants_.sum_ranges[at(channel)]) return result;
  for (std::int64_t position = 0; position < positions_; ++position) {
    const CodeRange range = sum_range(channel, position);
    if (range.lo < result.smallest.bound) result.smallest = {position, range.lo};
    if (range.hi > result.largest.bound) result.largest = {position, range.hi};
  }
  work += positions_ * constants_.fan_in;
  return result;
}

std::int64_t SumLayer::accumulator(std::span<const std::int64_t> input, std::int64_t channel,
                                   std::int64_t position) const {
  std::int64_t sum = bias(channel);
  each_weight(channel, position, [&](std::int64_t weight, std::int64_t element) {
    const std::int64_t code = input[at(element)];
    sum += weight * (is_linear_ ? code : aligned_.code(element, code));
  });
  return sum;
}

std::vector<std::int64_t> SumLayer::apart(std::int64_t position) const {
  const PlanWindow& window = reach_.window;
  const std::int64_t rows =
      spacing(window.kernel_h, window.dilation_h, window.stride_h, reach_.transposed);
  const std::int64_t columns =
      spacing(window.kernel_w, window.dilation_w, window.stride_w, reach_.transposed);
  std::vector<std::int64_t> result;
  for (std::int64_t y = position / width_ % rows; y < positions_ / width_; y += rows)
    for (std::int64_t x = position % width_ % columns; x < width_; x += columns)
      result.push_back(y * width_ + x);
  return result;
}

}  // namespace lockstep::verify
