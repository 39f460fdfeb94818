// From any grid to codes of `bits` bits: out = clamp(round(in / 2^(input decimal - output
// decimal))). A real value first: out = clamp(round(fl(in * 2^(output decimal)))).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "compile/support/error.h"
#include "verify/semantics/operators.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

// How many codes are looked at one by one.
constexpr std::int64_t kFew = std::int64_t{1} << 12, kMostLookedAt = std::int64_t{1} << 22;

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
      narrow_real(input);
      return;
    }
    const std::int64_t count = format_.element_count();
    for (std::int64_t i = 0; i < count; ++i)
      drop_bits_.push_back(input.decimal(i) - format_.decimal(i));
    std::vector<CodeRange> ranges;
    for (std::int64_t i = 0; i < count; ++i) {
      const CodeRange range = input.range(i);
      ranges.push_back({requantized(range.lo, i), requantized(range.hi, i)});
    }
    narrow(std::move(ranges));
  }

  void run(std::span<const Values> inputs, std::span<std::int64_t> output) const override {
    const Values input = inputs[0];
    for (std::size_t i = 0; i < input.size(); ++i)
      output[i] = real_ ? quantize_float(real_from_bits(input[i]),
                                         format_.decimal(static_cast<std::int64_t>(i)), rounding_,
                                         format_.lo, format_.hi)
                        : requantized(input[i], static_cast<std::int64_t>(i));
  }

 private:
  std::int64_t requantized(std::int64_t code, std::int64_t element) const {
    return requantize_code(code, drop_bits_[static_cast<std::size_t>(element)], rounding_,
                           format_.lo, format_.hi);
  }
  std::int64_t quantized(float value, int decimal) const {
    return quantize_float(value, decimal, rounding_, format_.lo, format_.hi);
  }

  // Bounds of each element, where some are narrower than the width says.
  void narrow(std::vector<CodeRange> ranges) {
    const CodeRange all = {format_.lo, format_.hi};
    if (std::ranges::all_of(ranges, [&](CodeRange range) { return range == all; })) return;
    format_.ranges = std::move(ranges);
  }

  void narrow_real(const Format& input) {
    // Elements of one channel mostly have everything in common.
    using Key = std::tuple<std::uint32_t, int, std::int64_t, std::int64_t, int>;
    std::map<Key, CodeRange> known;
    std::vector<CodeRange> ranges;
    for (std::int64_t e = 0; e < format_.element_count(); ++e) {
      const RealSource& source = input.source(e);
      const int decimal = format_.decimal(e);
      const auto [entry, is_new] = known.try_emplace(
          {source.chain, source.decimal, source.codes.lo, source.codes.hi, decimal}, CodeRange{});
      if (is_new) entry->second = real_range(source, input.chains[source.chain], decimal);
      ranges.push_back(entry->second);
    }
    narrow(std::move(ranges));
  }

  // What becomes of the codes of `source`: of few by looking at each. More are looked through only
  // where the first and the last become the same and perhaps all others, too.
  CodeRange real_range(const RealSource& source, const FloatChain& chain, int decimal) const {
    const CodeRange bounds = {quantized(source.range.lo, decimal),
                              quantized(source.range.hi, decimal)};
    const Monotony monotony = chain.monotony();
    const std::int64_t last = source.codes.hi - source.codes.lo;
    if (monotony.never_decreases || monotony.never_increases || last > kMostLookedAt) return bounds;
    const auto result = [&](std::int64_t code) {
      return quantized(apply_to_code(chain, code, source.decimal), decimal);
    };
    const std::int64_t first = result(source.codes.lo);
    CodeRange range = {first, first};
    if (last > kFew && result(source.codes.hi) != first) return bounds;
    for (std::int64_t code = source.codes.lo; code <= source.codes.hi; ++code) {
      const std::int64_t value = result(code);
      range = {std::min(range.lo, value), std::max(range.hi, value)};
      if (last > kFew && range.lo != range.hi) return bounds;
    }
    return range;
  }

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
