#include "compile/support/input_codes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "compile/support/error.h"

namespace lockstep {

std::string position_text(const std::vector<std::int64_t>& shape, std::size_t index) {
  std::vector<std::size_t> position(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    const auto extent = static_cast<std::size_t>(shape[axis]);
    position[axis] = index % extent;
    index /= extent;
  }
  return fmt::format("({}{})", fmt::join(position, ", "), position.size() == 1 ? "," : "");
}

CodeRange range_of(const InputFormat& format) {
  if (format.bytes) return {0, 255};
  const auto hi = static_cast<std::int32_t>((std::int64_t{1} << (format.bits - 1)) - 1);
  return {-hi - 1, hi};
}

std::string refusal_of(float value, int decimal) {
  if (!std::isfinite(value)) return fmt::format("{}, which is no finite number", value);
  return fmt::format("{}, which is {:g} steps of 2^{} and does not fit 32 bits", value,
                     std::trunc(std::ldexp(static_cast<double>(value), decimal)), -decimal);
}

std::string refusal_of(std::int64_t code, const InputFormat& format) {
  const CodeRange range = range_of(format);
  return fmt::format("{}, but input '{}' takes {} from {} to {}{}", code, format.name,
                     format.bytes ? "bytes" : "codes", range.lo, range.hi,
                     format.bits == 8 && !format.bytes && code > 0 && code < 256
                         ? " (for unsigned pixels declare \"raw\" in graph.json, or subtract 128)"
                         : "");
}

std::vector<std::int32_t> input_codes(const std::string& file, const AnyNpyArray& array,
                                      const InputFormat& format) {
  const CodeRange range = range_of(format);
  std::vector<std::int32_t> codes;
  if (const auto* const integers = std::get_if<NpyArray<std::int64_t>>(&array)) {
    codes.reserve(integers->values.size());
    for (const std::int64_t code : integers->values) {
      if (code < range.lo || code > range.hi)
        throw InputError(fmt::format("{}: element {} is {}", file,
                                     position_text(integers->shape, codes.size()),
                                     refusal_of(code, format)));
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
  std::vector<double> scales;
  for (const int decimal : format.decimals) scales.push_back(std::ldexp(1.0, decimal));
  for (std::size_t i = 0; i < numbers.values.size(); ++i) {
    const std::size_t channel = i / format.elements_per_channel % format.decimals.size();
    std::int32_t code = 0;
    if (!quantize_number(numbers.values[i], scales[channel], range, code))
      throw InputError(fmt::format("{}: element {} is {}", file, position_text(numbers.shape, i),
                                   refusal_of(numbers.values[i], format.decimals[channel])));
    codes.push_back(code);
  }
  return codes;
}

}  // namespace lockstep
