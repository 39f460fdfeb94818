#include "compile/graph/raw_bytes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compile/support/error.h"

namespace lockstep {
namespace {

using nlohmann::json;

constexpr double kLargest = 1e30, kSmallest = 1e-30;

// A number for all channels, or a list with one for each.
void read_numbers(Fields& fields, std::string_view name, std::int64_t channels, double lo,
                  double hi, std::vector<double>& values) {
  const json* const found = fields.find(name);
  if (found == nullptr) return;
  if (!found->is_array()) {
    values = {fields.to_number(*found, name, lo, hi)};
    return;
  }
  if (static_cast<std::int64_t>(found->size()) != channels)
    fields.refuse(name, *found,
                  fmt::format("it must be one number, or a list with one for each of the {} "
                              "channels (the first dimension of the shape)",
                              channels));
  values.clear();
  for (const json& value : *found) values.push_back(fields.to_number(value, name, lo, hi));
}

// Compiled without contraction, and each statement is one operation.
float number_of_byte(int byte, double scale, float mean, float std) {
  const double product = byte * scale;
  const auto scaled = static_cast<float>(product);
  const float moved = scaled - mean;
  return moved / std;
}

std::vector<std::int16_t> codes_of_channel(const GraphInput& input, std::size_t channel) {
  const RawBytes& raw = input.raw.value();
  const auto of_channel = [&](const std::vector<double>& values) {
    return values.at(values.size() == 1 ? 0 : channel);
  };
  const double scale = of_channel(raw.scale);
  const auto mean = static_cast<float>(of_channel(raw.mean));
  const auto std = static_cast<float>(of_channel(raw.std));
  const float step = std::ldexp(1.0F, static_cast<int>(input.decimal));
  const std::int64_t hi = (std::int64_t{1} << (input.bits - 1)) - 1;
  std::vector<std::int16_t> codes;
  for (int byte = 0; byte < 256; ++byte) {
    const float number = number_of_byte(byte, scale, mean, std);
    const float steps = number * step;
    if (!(std::fabs(steps) < 0x1p31F))
      throw InputError(fmt::format(
          "input '{}': raw: byte {} of channel {} is the number {:g}, which at decimal {} leaves "
          "the 32-bit range of quantization; use a smaller decimal, a smaller scale or a larger "
          "std",
          input.name, byte, channel, number, input.decimal));
    const auto code = static_cast<std::int64_t>(std::trunc(steps));
    codes.push_back(static_cast<std::int16_t>(std::clamp(code, -hi - 1, hi)));
  }
  return codes;
}

}  // namespace

RawBytes parse_raw_bytes(Fields& fields, std::int64_t channels) {
  RawBytes raw;
  read_numbers(fields, "scale", channels, kSmallest, kLargest, raw.scale);
  read_numbers(fields, "mean", channels, -kLargest, kLargest, raw.mean);
  read_numbers(fields, "std", channels, kSmallest, kLargest, raw.std);
  return raw;
}

std::vector<std::vector<std::int16_t>> codes_of_bytes(const GraphInput& input) {
  const RawBytes& raw = input.raw.value();
  const std::size_t count = std::max({raw.scale.size(), raw.mean.size(), raw.std.size()});
  for (const std::vector<double>* const values : {&raw.scale, &raw.mean, &raw.std})
    if (values->size() != 1 && static_cast<std::int64_t>(values->size()) != input.shape.at(0))
      throw InputError(fmt::format("input '{}': raw: {} values, but it has {} channels", input.name,
                                   values->size(), input.shape[0]));
  std::vector<std::vector<std::int16_t>> tables;
  for (std::size_t c = 0; c < count; ++c) tables.push_back(codes_of_channel(input, c));
  return tables;
}

}  // namespace lockstep
