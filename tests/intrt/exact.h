// Definitions that the tests hold the runtime against: rounding of exact quotients in 64 bits, and
// tensors in PyTorch's order. Written from docs/arithmetic.md; nothing here comes from
// intrt/arith.h.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "intrt/intrt.h"

namespace lockstep::testing {

enum class Rounding { kTowardZero = 0, kFloor = 1, kHalfEven = 2 };  // as stored in plans

// x * 2^-shift, rounded; |x| <= 2^62 and shift <= 62, or |x| <= 2^31 and -31 <= shift.
inline std::int64_t scale_exactly(std::int64_t x, int shift, Rounding rounding) {
  if (shift <= 0) return x * (std::int64_t{1} << -shift);
  __extension__ using Wide = __int128;
  const std::int64_t divisor = std::int64_t{1} << shift;
  const std::int64_t truncated = x / divisor, rest = x % divisor;
  if (rounding == Rounding::kTowardZero) return truncated;
  const std::int64_t floor = rest < 0 ? truncated - 1 : truncated;
  if (rounding == Rounding::kFloor) return floor;
  const Wide twice_above_floor = 2 * (Wide{x} - Wide{floor} * divisor);
  if (twice_above_floor != divisor) return twice_above_floor > divisor ? floor + 1 : floor;
  return floor % 2 == 0 ? floor : floor + 1;
}

// clamp((x * multiplier + addend) / 2^shift, rounded, lo, hi) in 128 bits.
inline std::int64_t affine_exactly(std::int64_t x, std::int64_t multiplier, std::int64_t addend,
                                   int shift, Rounding rounding, std::int64_t lo, std::int64_t hi) {
  __extension__ using Wide = __int128;
  const Wide sum = Wide{x} * multiplier + addend, divisor = Wide{1} << shift;
  Wide quotient = sum / divisor;
  if (rounding == Rounding::kFloor && sum % divisor < 0) --quotient;
  return quotient < lo ? lo : quotient > hi ? hi : static_cast<std::int64_t>(quotient);
}

// A tensor of one sample in PyTorch's order (C, H, W).
struct Logical {
  std::int64_t channels = 0, height = 0, width = 0;
  std::vector<std::int64_t> codes;

  Logical(std::int64_t c, std::int64_t h, std::int64_t w)
      : channels(c), height(h), width(w), codes(static_cast<std::size_t>(c * h * w)) {}
  std::int64_t& at(std::int64_t c, std::int64_t y, std::int64_t x) {
    return codes[static_cast<std::size_t>((c * height + y) * width + x)];
  }
  std::int64_t at(std::int64_t c, std::int64_t y, std::int64_t x) const {
    return const_cast<Logical*>(this)->at(c, y, x);
  }
  bool holds(std::int64_t y, std::int64_t x) const {
    return y >= 0 && y < height && x >= 0 && x < width;
  }
};

template <typename T>
std::int64_t load(const void* data, std::int64_t i) {
  T value;
  std::memcpy(&value, static_cast<const std::uint8_t*>(data) + i * std::int64_t{sizeof(T)},
              sizeof value);
  return value;
}
template <typename T>
void store(void* data, std::int64_t i, std::int64_t code) {
  const T value = static_cast<T>(code);
  std::memcpy(static_cast<std::uint8_t*>(data) + i * std::int64_t{sizeof(T)}, &value, sizeof value);
}

// Between a plan's tensor (HWC) and PyTorch's order.
inline void write_tensor(const Logical& from, std::uint32_t type, void* data) {
  for (std::int64_t c = 0; c < from.channels; ++c)
    for (std::int64_t y = 0; y < from.height; ++y)
      for (std::int64_t x = 0; x < from.width; ++x) {
        const std::int64_t i = (y * from.width + x) * from.channels + c;
        const std::int64_t code = from.at(c, y, x);
        if (type == INTRT_INT8) store<std::int8_t>(data, i, code);
        if (type == INTRT_UINT8) store<std::uint8_t>(data, i, code);
        if (type == INTRT_INT16) store<std::int16_t>(data, i, code);
        if (type == INTRT_INT32) store<std::int32_t>(data, i, code);
      }
}
inline Logical read_tensor(const intrt_tensor& info, const void* data) {
  Logical to(info.channels, info.height, info.width);
  for (std::int64_t c = 0; c < to.channels; ++c)
    for (std::int64_t y = 0; y < to.height; ++y)
      for (std::int64_t x = 0; x < to.width; ++x) {
        const std::int64_t i = (y * to.width + x) * to.channels + c;
        to.at(c, y, x) = info.type == INTRT_INT8    ? load<std::int8_t>(data, i)
                         : info.type == INTRT_UINT8 ? load<std::uint8_t>(data, i)
                         : info.type == INTRT_INT16 ? load<std::int16_t>(data, i)
                                                    : load<std::int32_t>(data, i);
      }
  return to;
}

}  // namespace lockstep::testing
