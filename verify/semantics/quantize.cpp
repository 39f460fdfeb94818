// From any grid to codes of `bits` bits: out = clamp(round(in / 2^(input decimal - output
// decimal))). A real value first: out = clamp(round(fl(in * 2^(output decimal)))).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compile/support/error.h"
#include "verify/semantics/operators.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

class Quantize final : public ExactOperator {
 public:
  Quantize(const Node& node, const NodeParameters& parameters, const Format& input)
      : real_(input.real) {
    if (!node.quantize || !parameters.quantize)
      throw InputError(fmt::format("layer '{}': no decimals for this quantize", node.name));
    const QuantizeParameters& quantize = *parameters.quantize;
    rounding_ = node.quantize->rounding;
    format_.shape = input.shape;
    format_.bits = quantize.bits;
    format_.lo = lowest_code(quantize.bits);
    format_.hi = highest_code(quantize.bits);
    if (quantize.decimals.size() == 1) {
      format_.decimals = quantize.decimals;
    } else {
      spread_decimals(node, quantize.decimals);
    }
    if (real_) {
      require_defined(node, input);
      return;
    }
    const std::int64_t count = format_.element_count();
    for (std::int64_t i = 0; i < count; ++i)
      drop_bits_.push_back(input.decimal(i) - format_.decimal(i));
  }

  void run(std::span<const Values> inputs, std::span<std::int64_t> output) const override {
    const Values input = inputs[0];
    for (std::size_t i = 0; i < input.size(); ++i)
      output[i] = real_
                      ? quantize_float(real_from_bits(input[i]),
                                       format_.decimal(static_cast<std::int64_t>(i)), rounding_,
                                       format_.lo, format_.hi)
                      : requantize_code(input[i], drop_bits_[i], rounding_, format_.lo, format_.hi);
  }

 private:
  // channelwise counts axes with the batch, so axis 1 is dimension 0 here.
  void spread_decimals(const Node& node, const std::vector<int>& decimals) {
    const std::int64_t axis = node.quantize->channelwise - 1;
    if (axis < 0 || axis >= static_cast<std::int64_t>(format_.shape.size()) ||
        format_.shape[static_cast<std::size_t>(axis)] != static_cast<std::int64_t>(decimals.size()))
      throw InputError(fmt::format(
          "layer '{}': {} decimals along axis {} of a tensor of shape {} (without batch)",
          node.name, decimals.size(), axis + 1, shape_text(format_.shape)));
    std::int64_t stride = 1;
    for (std::size_t d = static_cast<std::size_t>(axis) + 1; d < format_.shape.size(); ++d)
      stride *= format_.shape[d];
    const std::int64_t count = format_.element_count();
    for (std::int64_t i = 0; i < count; ++i)
      format_.decimals.push_back(decimals[static_cast<std::size_t>(
          (i / stride) % static_cast<std::int64_t>(decimals.size()))]);
  }

  // No value times 2^decimal may reach 2^31: what it became would depend on the machine.
  void require_defined(const Node& node, const Format& input) const {
    for (std::int64_t e = 0; e < input.element_count(); ++e) {
      const FloatRange range = input.source(e).range;
      const int decimal = format_.decimal(e);
      const double largest = std::ldexp(std::max(std::fabs(static_cast<double>(range.lo)),
                                                 std::fabs(static_cast<double>(range.hi))),
                                        decimal);
      if (largest >= 0x1p31)
        throw InputError(fmt::format(
            "layer '{}': its input '{}' may reach {:.9g} in channel {}, which times 2^{} is 2^31 "
            "or "
            "more, where a quantize is not defined; use a smaller decimal, or bring the values "
            "into "
            "a smaller range before this layer",
            node.name, node.inputs[0],
            std::fabs(static_cast<double>(range.lo)) > std::fabs(static_cast<double>(range.hi))
                ? range.lo
                : range.hi,
            e / (input.element_count() / input.shape[0]), decimal));
    }
  }

  bool real_ = false;
  Rounding rounding_ = Rounding::kTowardZero;
  std::vector<int> drop_bits_;  // per element of an exact input
};

}  // namespace

OperatorPointer make_quantize(const Node& node, const NodeParameters& parameters, Formats inputs) {
  return std::make_unique<Quantize>(node, parameters, *inputs[0]);
}

}  // namespace lockstep::verify
