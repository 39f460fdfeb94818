// The values of a .npy file as the input codes of a network.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "compile/support/npy.h"

namespace lockstep {

struct InputFormat {
  std::string name;    // the input's, for messages
  int bits = 8;        // 2 to 32
  bool bytes = false;  // raw bytes: integers from 0 to 255, whatever `bits`, and no real numbers
  // One, or one per channel; element i belongs to channel i / elements_per_channel, which counts on
  // from sample to sample.
  std::vector<int> decimals;
  std::size_t elements_per_channel = 1;
};

struct CodeRange {
  std::int32_t lo, hi;
};
CodeRange range_of(const InputFormat& format);

// Q(x) = clamp(trunc(x * scale)), where scale = 2^decimal and decimals have 8 bits. False: the
// number is NaN or infinite, or x * scale does not even fit int32.
inline bool quantize_number(float value, double scale, CodeRange range, std::int32_t& code) {
  // Exact: a double holds every float32, and scaling by a power of two changes the exponent only.
  const double scaled = std::trunc(static_cast<double>(value) * scale);
  if (!(std::abs(scaled) < 0x1p31)) return false;
  code = static_cast<std::int32_t>(
      std::clamp(scaled, static_cast<double>(range.lo), static_cast<double>(range.hi)));
  return true;
}
// Of a number that quantize_number refuses: "1e+30, which is ... and does not fit 32 bits".
std::string refusal_of(float value, int decimal);
// Of a code that lies outside the range: "300, but input 'x' takes codes from -128 to 127".
std::string refusal_of(std::int64_t code, const InputFormat& format);
// Where element number `index` of an array lies: "(1, 0, 3, 5)".
std::string position_text(const std::vector<std::int64_t>& shape, std::size_t index);

// Integers are codes already and must lie in the input's range. A float32 x becomes
// Q(x) = clamp(trunc(x * 2^decimal)): what lies beyond the range saturates, as it does in a
// quantize node. It is refused where it is NaN or infinite, or where x * 2^decimal does not even
// fit int32: such a number was never meant for this input. InputError names the file, the element
// and its value.
std::vector<std::int32_t> input_codes(const std::string& file, const AnyNpyArray& array,
                                      const InputFormat& format);

}  // namespace lockstep
