#include "compile/support/input_codes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "compile/support/error.h"

namespace lockstep {
namespace {

// "(1, 0, 3, 5)"
std::string position_text(const std::vector<std::int64_t>& shape, std::size_t index) {
  std::vector<std::size_t> position(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    const auto extent = static_cast<std::size_t>(shape[axis]);
    position[axis] = index % extent;
    index /= extent;
  }
  return fmt::format("({}{})", fmt::join(position, ", "), position.size() == 1 ? "," : "");
}

struct Limits {
  std::int64_t lo, hi;
};

Limits limits_of(const InputFormat& format) {
  if (format.bytes) return {0, 255};
  const std::int64_t hi = (std::int64_t{1} << (format.bits - 1)) - 1;
  return {-hi - 1, hi};
}

// Why `value` is no input, or nothing.
std::string quantize(float value, int decimal, Limits limits, std::int32_t& code) {
  if (!std::isfinite(value)) return "which is no finite number";
  // Exact: a double holds every float32, and scaling by a power of two changes the exponent only.
  const double scaled = std::trunc(std::ldexp(static_cast<double>(value), decimal));
  if (std::abs(scaled) >= 0x1p31)
    return fmt::format("which is {:g} steps of 2^{} and does not fit 32 bits", scaled, -decimal);
  code = static_cast<std::int32_t>(
      std::clamp(scaled, static_cast<double>(limits.lo), static_cast<double>(limits.hi)));
  return "";
}

}  // namespace

std::vector<std::int32_t> input_codes(const std::string& file, const AnyNpyArray& array,
                                      const InputFormat& format) {
  const Limits limits = limits_of(format);
  std::vector<std::int32_t> codes;
  if (const auto* const integers = std::get_if<NpyArray<std::int64_t>>(&array)) {
    codes.reserve(integers->values.size());
    for (const std::int64_t code : integers->values) {
      if (code < limits.lo || code > limits.hi)
        throw InputError(fmt::format(
            "{}: element {} is {}, but input '{}' takes {} from {} to {}{}", file,
            position_text(integers->shape, codes.size()), code, format.name,
            format.bytes ? "bytes" : "codes", limits.lo, limits.hi,
            format.bits == 8 && !format.bytes && code > 0 && code < 256
                ? " (for unsigned pixels declare \"raw\" in graph.json, or subtract 128)"
                : ""));
      codes.push_back(static_cast<std::int32_t>(code));
    }
    return codes;
  }
  if (format.bytes)
    throw InputError(fmt::format(
        "{}: element type float32, but input '{}' takes raw bytes, integers from 0 to 255, which "
        "the network normalises by itself",
        file, format.name));
  const auto& numbers = std::get<NpyArray<float>>(array);
  codes.reserve(numbers.values.size());
  for (std::size_t i = 0; i < numbers.values.size(); ++i) {
    const std::size_t channel = i / format.elements_per_channel % format.decimals.size();
    std::int32_t code = 0;
    const std::string fault = quantize(numbers.values[i], format.decimals[channel], limits, code);
    if (!fault.empty())
      throw InputError(fmt::format("{}: element {} is {}, {}", file,
                                   position_text(numbers.shape, i), numbers.values[i], fault));
    codes.push_back(code);
  }
  return codes;
}

}  // namespace lockstep
