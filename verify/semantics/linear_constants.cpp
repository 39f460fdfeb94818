#include "verify/semantics/linear_constants.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>

#include "compile/support/error.h"
#include "verify/semantics/operators.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

constexpr std::int64_t kLargest = INT64_MAX;
// Integers up to 2^24 steps of one grid are float32 numbers, so sums that stay below round nowhere.
constexpr std::int64_t kFloat32Steps = std::int64_t{1} << 24;

std::uint64_t magnitude(std::int64_t x) {
  return x < 0 ? ~static_cast<std::uint64_t>(x) + 1 : static_cast<std::uint64_t>(x);
}

[[noreturn]] void refuse_width(const Node& node) {
  throw InputError(fmt::format(
      "layer '{}': its exact accumulator can leave 64 bits; the decimals of its inputs, "
      "weights or bias lie too far apart",
      node.name));
}

// code * 2^shift, 0 <= shift.
std::int64_t widen(const Node& node, std::int64_t code, int shift) {
  if (code == 0) return 0;
  if (shift > 62) refuse_width(node);
  const Int128 wide = static_cast<Int128>(code) * (Int128{1} << shift);
  if (wide > kLargest || wide < -static_cast<Int128>(kLargest)) refuse_width(node);
  return static_cast<std::int64_t>(wide);
}

// The decimal of weight `index` (row-major), which lies along `axis`.
int weight_decimal(const QuantizeParameters& quantize, std::int64_t axis,
                   const std::vector<std::int64_t>& shape, std::int64_t index) {
  if (quantize.decimals.size() == 1) return quantize.decimals[0];
  std::int64_t stride = 1;
  for (std::size_t d = static_cast<std::size_t>(axis) + 1; d < shape.size(); ++d)
    stride *= shape[d];
  return quantize
      .decimals[static_cast<std::size_t>((index / stride) % shape[static_cast<std::size_t>(axis)])];
}

void derive_weights(const Node& node, const NodeParameters& parameters, const WeightOrder& order,
                    LinearConstants& result) {
  const QuantizeSpec* spec = node.weight_quantize();
  if (spec == nullptr || !parameters.weight_quantize)
    throw InputError(
        fmt::format("layer '{}': weight is not quantized (no quantize in its wraps)", node.name));
  const QuantizeParameters& quantize = *parameters.weight_quantize;
  const std::vector<std::int64_t>& shape = parameters.weight_shape;
  const std::int64_t axis = spec->channelwise;
  const bool per_tensor = quantize.decimals.size() == 1;
  if (!per_tensor && (axis < 0 || axis >= static_cast<std::int64_t>(shape.size()) ||
                      shape[static_cast<std::size_t>(axis)] !=
                          static_cast<std::int64_t>(quantize.decimals.size())))
    throw InputError(
        fmt::format("layer '{}': {} weight decimals do not fit axis {} of a weight of shape {}",
                    node.name, quantize.decimals.size(), axis, shape_text(shape)));
  std::vector<std::uint8_t> keep(parameters.weight.size(), 1);
  if (parameters.weight_mask) keep = spread_mask(*parameters.weight_mask, shape, node.name);

  result.outputs = order.outputs;
  result.fan_in = order.fan_in;
  LOCKSTEP_ASSERT(order.outputs * order.fan_in ==
                  static_cast<std::int64_t>(parameters.weight.size()));
  result.weights.reserve(parameters.weight.size());
  result.product_decimals.reserve(parameters.weight.size());
  for (std::int64_t o = 0; o < order.outputs; ++o)
    for (std::int64_t k = 0; k < order.fan_in; ++k) {
      const std::int64_t index = order.stored(o, k);
      const auto i = static_cast<std::size_t>(index);
      const int decimal = weight_decimal(quantize, axis, shape, index);
      const std::int64_t code =
          quantize_real(parameters.weight[i], decimal, quantize.bits, spec->rounding);
      result.weights.push_back(keep[i] != 0 ? code : 0);
      result.product_decimals.push_back(decimal + order.input_decimal(o, k));
    }
}

void derive_bias(const Node& node, const NodeParameters& parameters, LinearConstants& result) {
  if (parameters.bias.empty()) return;
  if (!parameters.bias_quantize) {
    if (static_cast<std::int64_t>(parameters.bias.size()) != result.outputs)
      throw InputError(fmt::format("layer '{}': {} biases, but {} output channels", node.name,
                                   parameters.bias.size(), result.outputs));
    result.float_bias = parameters.bias;
    return;
  }
  const QuantizeParameters& quantize = *parameters.bias_quantize;
  const std::size_t count = parameters.bias.size();
  if (static_cast<std::int64_t>(count) != result.outputs ||
      (quantize.decimals.size() != 1 && quantize.decimals.size() != count))
    throw InputError(fmt::format("layer '{}': {} biases with {} decimals, but {} output channels",
                                 node.name, count, quantize.decimals.size(), result.outputs));
  for (std::size_t o = 0; o < count; ++o) {
    const int decimal = quantize.decimals.size() == 1 ? quantize.decimals[0] : quantize.decimals[o];
    result.bias_decimals.push_back(decimal);
    result.bias.push_back(quantize_real(parameters.bias[o], decimal, quantize.bits,
                                        node.weight_quantize()->rounding));
  }
}

// The coarsest grid that holds every addend of one channel: a weight of 0 asks for nothing, a bias
// always does.
int finest_decimal(const LinearConstants& constants, std::size_t channel, std::size_t first,
                   std::size_t last) {
  std::optional<int> finest;
  if (!constants.bias.empty()) finest = constants.bias_decimals[channel];
  for (std::size_t i = first; i < last; ++i)
    if (constants.weights[i] != 0)
      finest =
          std::max(finest.value_or(constants.product_decimals[i]), constants.product_decimals[i]);
  if (finest) return *finest;
  return *std::max_element(constants.product_decimals.begin() + static_cast<std::ptrdiff_t>(first),
                           constants.product_decimals.begin() + static_cast<std::ptrdiff_t>(last));
}

// Whether the sums of a channel have room on this grid.
bool fits(const LinearConstants& constants, std::size_t channel, int finest,
          std::int64_t input_magnitude) {
  constexpr int kMostShift = 62;
  const auto first = channel * static_cast<std::size_t>(constants.fan_in);
  Int128 room = kLargest;
  const auto take = [&](std::int64_t code, int shift, std::int64_t factor) {
    if (code == 0 || room < 0) return;
    room -= shift > kMostShift ? room + 1 : static_cast<Int128>(magnitude(code)) * factor << shift;
  };
  for (std::size_t i = first; i < first + static_cast<std::size_t>(constants.fan_in); ++i)
    take(constants.weights[i], finest - constants.product_decimals[i], input_magnitude);
  if (!constants.bias.empty())
    take(constants.bias[channel], finest - constants.bias_decimals[channel], 1);
  return room >= 0;
}

// Clears the weights of channel `o` that meet what is always 0, and returns its grid. They add
// nothing, and make it finer only where there is room.
int settle_channel(LinearConstants& constants, const WeightOrder& order, std::int64_t o,
                   std::int64_t input_magnitude) {
  const auto channel = static_cast<std::size_t>(o);
  const auto first = static_cast<std::size_t>(o * constants.fan_in);
  const auto last = first + static_cast<std::size_t>(constants.fan_in);
  const int finest = finest_decimal(constants, channel, first, last);
  for (std::int64_t k = 0; k < constants.fan_in; ++k)
    if (order.input_range(o, k) == CodeRange{0, 0})
      constants.weights[first + static_cast<std::size_t>(k)] = 0;
  if (fits(constants, channel, finest, input_magnitude)) return finest;
  return finest_decimal(constants, channel, first, last);
}

// No more than the sum of magnitudes that was found to fit before.
CodeRange sum_range(const LinearConstants& constants, const WeightOrder& order, std::int64_t o) {
  CodeRange sum;
  if (!constants.aligned_bias.empty())
    sum.lo = sum.hi = constants.aligned_bias[static_cast<std::size_t>(o)];
  for (std::int64_t k = 0; k < order.fan_in; ++k) {
    const std::int64_t weight =
        constants.aligned_weights[static_cast<std::size_t>(o * order.fan_in + k)];
    if (weight == 0) continue;
    const CodeRange input = order.input_range(o, k);
    sum.lo += std::min(weight * input.lo, weight * input.hi);
    sum.hi += std::max(weight * input.lo, weight * input.hi);
  }
  return sum;
}

}  // namespace

LinearConstants derive_linear_constants(const Node& node, const NodeParameters& parameters,
                                        std::int64_t input_magnitude, const WeightOrder& order) {
  LinearConstants result;
  derive_weights(node, parameters, order, result);
  derive_bias(node, parameters, result);

  result.float32_is_exact = true;
  result.aligned_weights.resize(result.weights.size());
  result.aligned_bias.resize(result.bias.size());
  for (std::int64_t o = 0; o < result.outputs; ++o) {
    const auto channel = static_cast<std::size_t>(o);
    const auto first = static_cast<std::size_t>(o * result.fan_in);
    const auto last = first + static_cast<std::size_t>(result.fan_in);
    const int finest = settle_channel(result, order, o, input_magnitude);
    result.accumulator_decimals.push_back(finest);

    Int128 sum = 0;
    std::uint64_t used_bits =
        0;  // bits that some addend uses: the lowest one is the channel's true grid
    for (std::size_t i = first; i < last; ++i) {
      const std::int64_t aligned =
          widen(node, result.weights[i], finest - result.product_decimals[i]);
      result.aligned_weights[i] = aligned;
      used_bits |= magnitude(aligned);
      sum += static_cast<Int128>(magnitude(aligned)) * input_magnitude;
    }
    if (!result.bias.empty()) {
      const std::int64_t aligned =
          widen(node, result.bias[channel], finest - result.bias_decimals[channel]);
      result.aligned_bias[channel] = aligned;
      used_bits |= magnitude(aligned);
      sum += static_cast<Int128>(magnitude(aligned));
    }
    if (sum > kLargest) refuse_width(node);
    result.sum_ranges.push_back(sum_range(result, order, o));
    const auto total = static_cast<std::int64_t>(sum);
    result.largest_sum = std::max(result.largest_sum, total);
    if (total != 0 && (total >> std::countr_zero(used_bits)) >= kFloat32Steps)
      result.float32_is_exact = false;
  }
  return result;
}

}  // namespace lockstep::verify
