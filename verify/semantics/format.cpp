#include "verify/semantics/format.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "compile/support/error.h"
#include "verify/semantics/index.h"

namespace lockstep::verify {
namespace {

constexpr std::int64_t kMostElements = std::int64_t{1} << 28;

}  // namespace

std::int64_t Format::element_count() const {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;
  return count;
}

std::uint32_t Format::add_base(const ExactBase& base) {
  const auto found = std::ranges::find(bases, base);
  if (found == bases.end()) {
    bases.push_back(base);
    return static_cast<std::uint32_t>(bases.size() - 1);
  }
  return static_cast<std::uint32_t>(found - bases.begin());
}

std::uint32_t Format::add_chain(const FloatChain& chain) {
  const auto found = std::ranges::find(chains, chain);
  if (found == chains.end()) {
    chains.push_back(chain);
    return static_cast<std::uint32_t>(chains.size() - 1);
  }
  return static_cast<std::uint32_t>(found - chains.begin());
}

double value_of(const Format& format, std::int64_t element, std::int64_t code) {
  if (format.real) return static_cast<double>(real_from_bits(code));
  return std::ldexp(static_cast<double>(code), -format.decimal(element));
}

std::vector<int> finest_channel_decimals(const Format& format) {
  const std::int64_t channels = format.shape.at(0);
  if (format.decimals.size() == 1) return std::vector<int>(at(channels), format.decimals[0]);
  const std::int64_t plane = format.element_count() / channels;
  std::vector<int> result;
  for (std::int64_t c = 0; c < channels; ++c)
    result.push_back(*std::max_element(format.decimals.begin() + c * plane,
                                       format.decimals.begin() + (c + 1) * plane));
  return result;
}

std::vector<int> channel_decimals(const Format& format, const std::string& layer) {
  const std::int64_t channels = format.shape.at(0);
  const std::int64_t plane = format.element_count() / channels;
  std::vector<int> result;
  for (std::int64_t c = 0; c < channels; ++c) {
    result.push_back(format.decimal(c * plane));
    for (std::int64_t i = 1; i < plane; ++i)
      if (format.decimal(c * plane + i) != result.back())
        throw InputError(
            fmt::format("layer '{}': the decimals of its input vary inside channel {} ({} and {}); "
                        "they must be the same "
                        "within a channel",
                        layer, c, result.back(), format.decimal(c * plane + i)));
  }
  return result;
}

Format as_real(const Format& input, const std::string& input_name, const std::string& layer) {
  if (input.real) return input;
  Format result;
  result.shape = input.shape;
  result.decimals = {0};
  result.real = true;
  const std::uint32_t base = result.add_base({input_name, false});
  const std::uint32_t chain = result.add_chain({});
  const std::int64_t count = input.element_count();
  for (std::int64_t e = 0; e < count; ++e) {
    const int decimal = input.decimal(e);
    const CodeRange codes = input.range(e);
    if (decimal < kSmallestFloatDecimal || decimal > kLargestFloatDecimal)
      throw InputError(fmt::format(
          "layer '{}': its input '{}' has decimal {}, which float32 cannot hold ({} to {} "
          "allowed); put a quantize node before this layer",
          layer, input_name, decimal, kSmallestFloatDecimal, kLargestFloatDecimal));
    const FloatRange range = {enter_float(codes.lo, decimal), enter_float(codes.hi, decimal)};
    result.sources.push_back({base, chain, e, decimal, codes, range});
  }
  return result;
}

Format append_steps(const Format& input, const std::string& input_name, const std::string& layer,
                    std::span<const FloatStep> steps) {
  Format result = as_real(input, input_name, layer);
  const std::vector<FloatChain> before = std::move(result.chains);
  result.chains.clear();
  // By chain before and step: the chain after.
  std::map<std::pair<std::uint32_t, std::size_t>, std::uint32_t> after;
  const std::int64_t count = result.element_count();
  const std::int64_t plane = count / result.shape.at(0);
  for (std::int64_t e = 0; e < count; ++e) {
    RealSource& source = result.sources[at(e)];
    const std::size_t s = steps.size() == 1 ? 0 : at(e / plane);
    const auto [entry, is_new] = after.try_emplace({source.chain, s}, 0U);
    if (is_new) {
      FloatChain chain = before[source.chain];
      chain.steps.push_back(steps[s]);
      entry->second = result.add_chain(chain);
    }
    source.chain = entry->second;
    source.range = steps[s].image(source.range);
    if (!std::isfinite(source.range.lo) || !std::isfinite(source.range.hi))
      throw InputError(
          fmt::format("layer '{}': its values may leave the range of float32 ({}, channel {}); put "
                      "a quantize node before this layer",
                      layer, steps[s].text(), e / plane));
  }
  return result;
}

void require_exact(const Format& input, const std::string& input_name, const std::string& layer) {
  if (!input.real) return;
  std::string why;
  for (const FloatChain& chain : input.chains)
    if (!chain.steps.empty()) {
      why = chain.steps.back().text();
      break;
    }
  throw InputError(
      fmt::format("layer '{}': its input '{}' is not quantized (it comes from a float function: "
                  "{}); put a quantize node before this layer",
                  layer, input_name, why.empty() ? "a mask" : why));
}

void require_countable(const std::string& layer, std::span<const std::int64_t> shape) {
  std::int64_t left = kMostElements;  // divided, because a product could overflow
  for (const std::int64_t extent : shape) left = extent > 0 ? left / extent : left;
  if (left == 0)
    throw InputError(fmt::format("layer '{}': shape {} has too many elements; at most 2^28 allowed",
                                 layer, shape_text(shape)));
}

std::string shape_text(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace lockstep::verify
