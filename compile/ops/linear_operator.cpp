#include "compile/ops/linear_operator.h"

#include <fmt/format.h>
#include <algorithm>
#include <cstdlib>
#include <limits>

#include "compile/ops/rounding.h"
#include "compile/support/error.h"

namespace lockstep::ops {
namespace {

constexpr int kWeightBits = 16, kAccumulatorBits = 32;

// Picks, for each element of a row-major tensor, the entry of a smaller tensor that is broadcast
// over it.
class Broadcast {
 public:
  Broadcast(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& small)
      : shape_(shape), step_(shape.size(), 0) {
    std::int64_t elements = 1;
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      step_[axis] = small[axis] == 1 ? 0 : elements;
      elements *= small[axis];
    }
  }
  std::size_t operator()(std::int64_t element) const {
    std::int64_t index = 0;
    for (std::size_t axis = shape_.size(); axis-- > 0; element /= shape_[axis])
      index += element % shape_[axis] * step_[axis];
    return static_cast<std::size_t>(index);
  }

 private:
  std::vector<std::int64_t> shape_, step_;
};

void require_quantized(const Lowering& lowering) {
  const NodeParameters& parameters = lowering.parameters();
  const Node& node = lowering.node();
  if (!parameters.weight_quantize)
    lowering.refuse("weight is not quantized (no quantize in its wraps)");
  if (!parameters.bias.empty() && !parameters.bias_quantize)
    lowering.refuse(
        "bias is a float (its quantize wrap has no bias_bits), which has no integer code; set "
        "bias_bits, "
        "for example to 20, or bias to false");
  if (lowering.input().bits > kWeightBits) {
    const std::string& origin = lowering.accumulator_origin();
    lowering.refuse(
        fmt::format("its input '{}' is not quantized{}; put a quantize node before this layer",
                    node.inputs.at(0),
                    origin == node.inputs.at(0)
                        ? std::string()
                        : fmt::format(" (it carries the accumulators of '{}')", origin)));
  }
}

// One keep flag per weight.
std::vector<std::uint8_t> weight_mask(const Lowering& lowering) {
  const NodeParameters& parameters = lowering.parameters();
  if (!parameters.weight_mask) return std::vector<std::uint8_t>(parameters.weight.size(), 1);
  const MaskParameters& mask = *parameters.weight_mask;
  const std::vector<std::int64_t>& shape = parameters.weight_shape;
  LOCKSTEP_ASSERT(mask.shape.size() == shape.size());  // bind_parameters has checked the extents
  const Broadcast source(shape, mask.shape);
  std::vector<std::uint8_t> keep(parameters.weight.size());
  for (std::size_t i = 0; i < keep.size(); ++i)
    keep[i] = mask.keep.at(source(static_cast<std::int64_t>(i)));
  return keep;
}

// The decimal of each weight.
std::vector<int> weight_decimals(const Lowering& lowering) {
  const NodeParameters& parameters = lowering.parameters();
  const std::vector<int>& decimals = parameters.weight_quantize->decimals;
  const std::vector<std::int64_t>& shape = parameters.weight_shape;
  std::vector<std::int64_t> extent(shape.size(), 1);
  if (decimals.size() > 1) {
    const std::int64_t axis = lowering.node().weight_quantize()->channelwise;
    LOCKSTEP_ASSERT(axis >= 0 && shape.at(static_cast<std::size_t>(axis)) ==
                                     static_cast<std::int64_t>(decimals.size()));
    extent[static_cast<std::size_t>(axis)] = static_cast<std::int64_t>(decimals.size());
  }
  const Broadcast source(shape, extent);
  std::vector<int> result(parameters.weight.size());
  for (std::size_t i = 0; i < result.size(); ++i)
    result[i] = decimals.at(source(static_cast<std::int64_t>(i)));
  return result;
}

// The integer weights, before alignment.
std::vector<std::int64_t> weight_codes(const Lowering& lowering, const std::vector<int>& decimals) {
  const NodeParameters& parameters = lowering.parameters();
  const QuantizeSpec& spec = *lowering.node().weight_quantize();
  const std::vector<std::uint8_t> keep = weight_mask(lowering);
  std::vector<std::int64_t> codes(parameters.weight.size());
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const float weight = parameters.weight[i];
    const auto code =
        quantize_code(weight, decimals[i], parameters.weight_quantize->bits, spec.rounding);
    if (!code)
      lowering.refuse(
          fmt::format("weight {} = {} with decimal {} leaves the 32-bit range of quantization", i,
                      weight, decimals[i]));
    codes[i] = keep[i] != 0 ? *code : 0;
  }
  return codes;
}

std::vector<std::int64_t> bias_codes(const Lowering& lowering) {
  const NodeParameters& parameters = lowering.parameters();
  std::vector<std::int64_t> codes;
  for (std::size_t o = 0; o < parameters.bias.size(); ++o) {
    const QuantizeParameters& quantize = *parameters.bias_quantize;
    const int decimal = quantize.decimals.at(quantize.decimals.size() == 1 ? 0 : o);
    const float bias = parameters.bias[o];
    const auto code =
        quantize_code(bias, decimal, quantize.bits, lowering.node().weight_quantize()->rounding);
    if (!code)
      lowering.refuse(
          fmt::format("bias {} = {} with decimal {} leaves the 32-bit range of quantization", o,
                      bias, decimal));
    // The float path holds the clamped code in a float32, which rounds the upper limit from 26 bits
    // on.
    if (static_cast<std::int64_t>(static_cast<float>(*code)) != *code)
      lowering.refuse(
          fmt::format("bias {} = {} saturates at {} bits, and float32 cannot hold {}; use "
                      "fewer bias_bits",
                      o, bias, quantize.bits, *code));
    codes.push_back(*code);
  }
  return codes;
}

// code * 2^shift, where that has at most `bits` bits. shift >= 0.
std::int64_t widen(const Lowering& lowering, std::int64_t code, int shift, int bits,
                   std::int64_t channel, std::string_view what, int decimal) {
  const int needed = code == 0 ? 1 : ir::bits_to_hold(code, code) + shift;
  if (needed > bits)
    lowering.refuse(
        fmt::format("output channel {}: its {} brought to decimal {} needs {} bits, but the "
                    "runtime has {}",
                    channel, what, decimal, needed, bits));
  return code == 0 ? 0 : code * (std::int64_t{1} << shift);
}

}  // namespace

AlignedWeights align_weights(const Lowering& lowering, std::int64_t groups) {
  require_quantized(lowering);
  const NodeParameters& parameters = lowering.parameters();
  const ir::Value& input = lowering.input();
  const std::int64_t outputs = parameters.weight_shape.at(0);
  const std::int64_t in_per_group = parameters.weight_shape.at(1);
  const auto total = static_cast<std::int64_t>(parameters.weight.size());
  const std::int64_t row = total / outputs, taps = row / in_per_group;

  std::vector<int> exponents = weight_decimals(lowering);  // E, once the input's decimal is added
  const std::vector<std::int64_t> codes = weight_codes(lowering, exponents);
  for (std::int64_t i = 0; i < total; ++i) {
    const std::int64_t group = i / row / (outputs / groups);
    exponents[static_cast<std::size_t>(i)] += input.decimal(group * in_per_group + i % row / taps);
  }
  const std::vector<std::int64_t> bias = bias_codes(lowering);

  AlignedWeights aligned;
  aligned.weights.resize(codes.size());
  for (std::int64_t o = 0; o < outputs; ++o) {
    // A weight of zero has every decimal. When all are zero any grid will do, so the widest choice
    // stands.
    std::optional<int> finest;
    int bias_decimal = 0;
    if (!bias.empty()) {
      const std::vector<int>& decimals = parameters.bias_quantize->decimals;
      bias_decimal = decimals.at(decimals.size() == 1 ? 0 : static_cast<std::size_t>(o));
      finest = bias_decimal;
    }
    const auto first = static_cast<std::size_t>(o * row),
               last = static_cast<std::size_t>((o + 1) * row);
    for (std::size_t i = first; i < last; ++i)
      if (codes[i] != 0) finest = std::max(finest.value_or(exponents[i]), exponents[i]);
    const int decimal =
        finest ? *finest
               : *std::max_element(exponents.begin() + o * row, exponents.begin() + (o + 1) * row);
    if (decimal < std::numeric_limits<std::int8_t>::min() ||
        decimal > std::numeric_limits<std::int8_t>::max())
      lowering.refuse(fmt::format(
          "output channel {}: its sums have decimal {}, but plans hold -128 to 127", o, decimal));
    for (std::size_t i = first; i < last; ++i)
      aligned.weights[i] = static_cast<std::int32_t>(
          widen(lowering, codes[i], decimal - exponents[i], kWeightBits, o, "weight", decimal));
    if (!bias.empty())
      aligned.bias.push_back(widen(lowering, bias[static_cast<std::size_t>(o)],
                                   decimal - bias_decimal, kAccumulatorBits, o, "bias", decimal));
    aligned.decimals.push_back(decimal);
  }
  return aligned;
}

void require_accumulators_fit(const Lowering& lowering,
                              const std::vector<ir::Accumulator>& accumulators) {
  for (std::size_t o = 0; o < accumulators.size(); ++o) {
    const std::int64_t magnitude = accumulators[o].magnitude;
    if (magnitude > std::numeric_limits<std::int32_t>::max())
      lowering.refuse(
          fmt::format("output channel {}: its sum can reach {} and needs {} bits, but "
                      "accumulators have {}",
                      o, magnitude, ir::bits_to_hold(-magnitude, magnitude), kAccumulatorBits));
  }
}

}  // namespace lockstep::ops
