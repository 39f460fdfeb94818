// Fewer codes and numbers than a register holds. Include the variant's vector.h or wide.h before.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace intrt {
namespace {

// A number that is known when a function that gets it is compiled.
template <auto kValue>
struct Constant {
  static constexpr auto value = kValue;
};

// `count` <= kLanes bytes.
inline Packed load_packed(const int8_t* from, size_t count) {
  Packed packed = 0;
  if (count == kLanes) {
    __builtin_memcpy(&packed, from, kLanes);
  } else {
    for (size_t i = 0; i < count; ++i)
      packed |= static_cast<Packed>(static_cast<uint8_t>(from[i])) << (8 * i);
  }
  return packed;
}
// `count` <= 4 * kLanes bytes, none behind them.
inline void copy_bytes(int8_t* to, const int8_t* from, size_t count) {
  if (count >= 8) {
    for (size_t i = 0; i + 8 <= count; i += 8) __builtin_memcpy(to + i, from + i, 8);
    __builtin_memcpy(to + count - 8, from + count - 8, 8);
  } else if (count >= 4) {
    __builtin_memcpy(to, from, 4);
    __builtin_memcpy(to + count - 4, from + count - 4, 4);
  } else {
    for (size_t i = 0; i < count; ++i) to[i] = from[i];
  }
}

// The codes of `count` <= kLanes channels in 32 bits.
inline Vector load_widened(const int8_t* codes, size_t count) {
  return widen(load_packed(codes, count));
}

inline Vector load_widened(const int16_t* codes, size_t count) {
  int32_t numbers[kLanes] = {};
  for (size_t i = 0; i < count; ++i) numbers[i] = codes[i];
  return load(numbers);
}

// `count` <= kLanes numbers; 0 for the others.
inline Vector load_some(const int32_t* from, size_t count) {
  int32_t numbers[kLanes] = {};
  for (size_t i = 0; i < count; ++i) numbers[i] = from[i];
  return load(numbers);
}

inline Vector load_widened(const int32_t* numbers, size_t count) {
  return count == kLanes ? load(numbers) : load_some(numbers, count);
}

}  // namespace
}  // namespace intrt
