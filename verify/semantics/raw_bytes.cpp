#include "verify/semantics/raw_bytes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compile/support/error.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

constexpr std::int64_t kBytes = 256;

// b * scale, - mean, / std.
FloatChain functions_of(double scale, double mean, double deviation) {
  FloatStep scaled;
  scaled.function = FloatFunction::kByteScale;
  scaled.scale = scale;
  const FloatStep moved = {FloatFunction::kAdd, -static_cast<float>(mean), 0};
  const FloatStep divided = {FloatFunction::kMean, static_cast<float>(deviation), 0};
  return {{scaled, moved, divided}};
}

}  // namespace

Format format_of_bytes(const GraphInput& input) {
  Format format;
  format.shape = input.shape;
  format.decimals = {0};
  format.bits = 8;
  format.lo = 0;
  format.hi = kBytes - 1;
  return format;
}

RawCodes::RawCodes(const GraphInput& input) {
  const RawBytes& raw = *input.raw;
  std::size_t count = 1;
  for (const std::vector<double>* const values : {&raw.scale, &raw.mean, &raw.std}) {
    if (values->size() != 1 && static_cast<std::int64_t>(values->size()) != input.shape[0])
      throw InputError(fmt::format("input '{}': {} numbers of 'raw' for {} channels", input.name,
                                   values->size(), input.shape[0]));
    count = std::max(count, values->size());
  }
  const int decimal = static_cast<int>(input.decimal), bits = static_cast<int>(input.bits);
  for (std::size_t c = 0; c < count; ++c) {
    const auto of_channel = [c](const std::vector<double>& values) {
      return values.size() == 1 ? values[0] : values[c];
    };
    functions_.push_back(
        functions_of(of_channel(raw.scale), of_channel(raw.mean), of_channel(raw.std)));
    std::vector<std::int64_t>& codes = codes_.emplace_back();
    for (std::int64_t byte = 0; byte < kBytes; ++byte) {
      const float number = apply_to_code(functions_.back(), byte, 0);
      if (!(std::ldexp(std::fabs(static_cast<double>(number)), decimal) < 0x1p31))
        throw InputError(
            fmt::format("input '{}': byte {} of channel {} is {:.9g}, which times 2^{} is 2^31 or "
                        "more, where quantization is not defined; use a smaller decimal",
                        input.name, byte, c, number, decimal));
      codes.push_back(quantize_float(number, decimal, Rounding::kTowardZero, lowest_code(bits),
                                     highest_code(bits)));
    }
  }
}

CodeRange RawCodes::range(std::int64_t channel) const {
  const auto [lo, hi] = std::ranges::minmax(codes_[index(channel)]);
  return {lo, hi};
}

}  // namespace lockstep::verify
