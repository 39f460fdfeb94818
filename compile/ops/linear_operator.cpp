#include "compile/ops/linear_operator.h"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "compile/ops/rounding.h"
#include "compile/support/error.h"

namespace lockstep::ops {
namespace {

constexpr int kWeightBits = 16, kAccumulatorBits = ir::kMostStoredBits;
// Where these do not suffice, the runtime multiplies wide weights into 64 bits.
constexpr int kWideWeightBits = 32, kWideAccumulatorBits = 63;
constexpr int kLeastAccumulatorBits = 17;  // fewer would be codes

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
  if (!lowering.parameters().weight_quantize)
    lowering.refuse(
        "weight is not quantized (no quantize in its wraps); add {\"type\": \"quantize\"} to its "
        "'wrap'");
  lowering.require_codes();
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

// The largest decimal at which x * 2^decimal stays below 2^31; x is not 0.
int largest_decimal(float x) { return 30 - std::ilogb(x); }

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
          fmt::format("weight {} = {} with decimal {} leaves the 32-bit range of quantization; a "
                      "decimal of at most {} holds it",
                      i, weight, decimals[i], largest_decimal(weight)));
    codes[i] = keep[i] != 0 ? *code : 0;
  }
  return codes;
}

// Empty without a bias, or when it stays float.
std::vector<std::int64_t> bias_codes(const Lowering& lowering) {
  const NodeParameters& parameters = lowering.parameters();
  std::vector<std::int64_t> codes;
  if (!parameters.bias_quantize) return codes;
  for (std::size_t o = 0; o < parameters.bias.size(); ++o) {
    const QuantizeParameters& quantize = *parameters.bias_quantize;
    const int decimal = quantize.decimals.at(quantize.decimals.size() == 1 ? 0 : o);
    const float bias = parameters.bias[o];
    const auto code =
        quantize_code(bias, decimal, quantize.bits, lowering.node().weight_quantize()->rounding);
    if (!code)
      lowering.refuse(
          fmt::format("bias {} = {} with decimal {} leaves the 32-bit range of quantization; a "
                      "decimal of at most {} holds it",
                      o, bias, decimal, largest_decimal(bias)));
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
                    "runtime has {}; the finest of its products decides: let the decimals of its "
                    "input's channels (or of its weight and bias) lie {} closer together",
                    channel, what, decimal, needed, bits, needed - bits));
  return code == 0 ? 0 : code * (std::int64_t{1} << shift);
}

// Where PyTorch stores the weight that input channel `i` of the group, at `tap`, meets on its way
// to output channel `o`.
std::int64_t stored_at(const WeightLayout& layout, std::int64_t taps, std::int64_t o,
                       std::int64_t i, std::int64_t tap) {
  const std::int64_t group_inputs = layout.inputs / layout.groups,
                     group_outputs = layout.outputs / layout.groups;
  if (!layout.transposed) return (o * group_inputs + i) * taps + tap;
  const std::int64_t input = o / group_outputs * group_inputs + i;
  return (input * group_outputs + o % group_outputs) * taps + tap;
}

}  // namespace

AlignedWeights align_weights(const Lowering& lowering, const WeightLayout& layout) {
  require_quantized(lowering);
  const NodeParameters& parameters = lowering.parameters();
  const ir::Value& input = lowering.value();
  const std::int64_t group_inputs = layout.inputs / layout.groups;
  const auto total = static_cast<std::int64_t>(parameters.weight.size());
  const std::int64_t row = total / layout.outputs, taps = row / group_inputs;
  const std::vector<int> decimals = weight_decimals(lowering);
  const std::vector<std::int64_t> stored_codes = weight_codes(lowering, decimals);
  const std::vector<std::int64_t> bias = bias_codes(lowering);

  AlignedWeights aligned;
  aligned.weights.reserve(stored_codes.size());
  std::vector<std::int64_t> codes(static_cast<std::size_t>(row));
  std::vector<int> exponents(codes.size());  // E of each product
  for (std::int64_t o = 0; o < layout.outputs; ++o) {
    const std::int64_t first_input = o / (layout.outputs / layout.groups) * group_inputs;
    for (std::int64_t k = 0; k < row; ++k) {
      const auto at = static_cast<std::size_t>(stored_at(layout, taps, o, k / taps, k % taps));
      // What is always 0 asks for no grid.
      const bool meets_zero =
          input.ranges.at(static_cast<std::size_t>(first_input + k / taps)) == ir::Range{0, 0};
      codes[static_cast<std::size_t>(k)] = meets_zero ? 0 : stored_codes[at];
      exponents[static_cast<std::size_t>(k)] = decimals[at] + input.decimal(first_input + k / taps);
    }
    // A weight of zero has every decimal. When all are zero any grid will do, so the widest choice
    // stands.
    std::optional<int> finest;
    int bias_decimal = 0;
    if (!bias.empty()) {
      const std::vector<int>& of_bias = parameters.bias_quantize->decimals;
      bias_decimal = of_bias.at(of_bias.size() == 1 ? 0 : static_cast<std::size_t>(o));
      finest = bias_decimal;
    }
    for (std::size_t k = 0; k < codes.size(); ++k)
      if (codes[k] != 0) finest = std::max(finest.value_or(exponents[k]), exponents[k]);
    const int decimal = finest ? *finest : *std::max_element(exponents.begin(), exponents.end());
    if (decimal < std::numeric_limits<std::int8_t>::min() ||
        decimal > std::numeric_limits<std::int8_t>::max())
      lowering.refuse(fmt::format(
          "output channel {}: its sums have decimal {}, but plans hold -128 to 127", o, decimal));
    for (std::size_t k = 0; k < codes.size(); ++k)
      aligned.weights.push_back(static_cast<std::int32_t>(widen(
          lowering, codes[k], decimal - exponents[k], kWideWeightBits, o, "weight", decimal)));
    if (!bias.empty())
      aligned.bias.push_back(widen(lowering, bias[static_cast<std::size_t>(o)],
                                   decimal - bias_decimal, kAccumulatorBits, o, "bias", decimal));
    aligned.decimals.push_back(decimal);
  }
  if (!parameters.bias_quantize)
    for (const float b : parameters.bias)
      aligned.float_bias.push_back({.kind = FloatStep::Kind::kAdd, .a = b, .b = 0});
  return aligned;
}

NodeValue emit_sum(Lowering& lowering, ir::OpKind kind, const ir::Shape& shape,
                   AlignedWeights aligned) {
  const bool is_float = !aligned.float_bias.empty();
  const int most_bits = is_float ? kAccumulatorBits : kWideAccumulatorBits;
  const std::vector<ir::Accumulator> accumulators = lowering.bounds(kind, {lowering.input().id});
  int bits = kLeastAccumulatorBits;
  for (std::size_t o = 0; o < accumulators.size(); ++o) {
    const std::int64_t magnitude = accumulators[o].magnitude;
    const int needed = ir::bits_to_hold(-magnitude, magnitude);
    if (needed > most_bits)
      lowering.refuse(fmt::format(
          "output channel {}: its sum can reach {} and needs {} bits, but accumulators have {}{}; "
          "{}, "
          "or {} bits less of its weight",
          o, magnitude, needed, most_bits, is_float ? " where a float bias follows" : "",
          lowering.fitting_bits(needed - most_bits), needed - most_bits));
    bits = std::max(bits, needed);
  }
  const bool wide_weights =
      std::any_of(aligned.weights.begin(), aligned.weights.end(),
                  [](std::int32_t w) { return ir::bits_to_hold(w, w) > kWeightBits; });
  std::visit(
      [&](auto& op) {
        if constexpr (requires { op.wide; }) {
          op.wide = wide_weights || bits > kAccumulatorBits;
          // The post-op brings sums that are held in 64 bits to the 32 that suffice for them.
          if (op.wide && bits <= kAccumulatorBits) op.post.function = ir::identity_requantize(bits);
        }
      },
      kind);
  NodeValue result{.id = lowering.emit(std::move(kind), {lowering.input().id},
                                       {.shape = shape,
                                        .bits = bits,
                                        .decimals = std::move(aligned.decimals),
                                        .exact = !is_float}),
                   .pending = {},
                   .order_of = {}};
  if (!is_float) return result;
  result.pending = Pending{.chains = {}, .mask = {}, .origin = lowering.node().name};
  for (const FloatStep& bias : aligned.float_bias) result.pending->chains.push_back({bias});
  return result;
}

}  // namespace lockstep::ops
