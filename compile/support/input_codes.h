// The values of a .npy file as the input codes of a network.
#pragma once

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

// Integers are codes already and must lie in the input's range. A float32 x becomes
// Q(x) = clamp(trunc(x * 2^decimal)): what lies beyond the range saturates, as it does in a
// quantize node. It is refused where it is NaN or infinite, or where x * 2^decimal does not even
// fit int32: such a number was never meant for this input. InputError names the file, the element
// and its value.
std::vector<std::int32_t> input_codes(const std::string& file, const AnyNpyArray& array,
                                      const InputFormat& format);

}  // namespace lockstep
