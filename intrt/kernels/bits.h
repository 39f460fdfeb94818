// Bit sets in the bytes of a plan, without what a compiler would need a library for.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace intrt {

// A register's worth of a bit set.
using BitWord = size_t;

// Bits set in a byte.
inline uint32_t count_bits(uint8_t byte) {
  uint32_t x = byte;
  x -= x >> 1 & 0x55;
  x = (x & 0x33) + (x >> 2 & 0x33);
  return (x + (x >> 4)) & 0x0F;
}

inline uint32_t count_bits(const uint8_t* bytes, size_t count) {
  uint32_t bits = 0;
  for (size_t i = 0; i < count; ++i) bits += count_bits(bytes[i]);
  return bits;
}

// Number of the lowest bit that is set; bits != 0. Machines without an instruction for it look up
// which bit a product with a de Bruijn sequence has moved to the top (Leiserson, Prokop, Randall,
// "Using de Bruijn sequences to index a 1 in a computer word", 1998).
inline uint32_t lowest_bit(BitWord bits) {
#if defined(__x86_64__) || defined(__aarch64__) || defined(__ARM_FEATURE_CLZ)
  return static_cast<uint32_t>(sizeof(BitWord) == 8 ? __builtin_ctzll(bits)
                                                    : __builtin_ctz(static_cast<uint32_t>(bits)));
#else
  constexpr uint8_t kBitOf[32] = {0,  1,  28, 2,  29, 14, 24, 3, 30, 22, 20, 15, 25, 17, 4,  8,
                                  31, 27, 13, 23, 21, 19, 16, 7, 26, 12, 18, 6,  11, 5,  10, 9};
  uint32_t low = static_cast<uint32_t>(bits), first = 0;
  if (sizeof(BitWord) == 8 && low == 0) {
    low = static_cast<uint32_t>(static_cast<uint64_t>(bits) >> 32);
    first = 32;
  }
  return first + kBitOf[((low & (0u - low)) * 0x077CB531u) >> 27];
#endif
}

// The first `count` <= sizeof(BitWord) bytes; bit i of byte k becomes bit 8k + i.
inline BitWord load_bits(const uint8_t* bytes, size_t count) {
  BitWord bits = 0;
  for (size_t k = 0; k < count; ++k) bits |= static_cast<BitWord>(bytes[k]) << (8 * k);
  return bits;
}

// Calls f(i) for each bit i that is set in `count` bytes, rising.
template <typename F>
inline void for_each_bit(const uint8_t* bytes, size_t count, F&& f) {
  size_t first = 0;
  while (count != 0) {
    const size_t now = count < sizeof(BitWord) ? count : sizeof(BitWord);
    // A constant number of bytes becomes one load.
    BitWord bits =
        now == sizeof(BitWord) ? load_bits(bytes, sizeof(BitWord)) : load_bits(bytes, now);
    for (; bits != 0; bits &= bits - 1) f(first + lowest_bit(bits));
    bytes += now;
    count -= now;
    first += 8 * now;
  }
}

}  // namespace intrt
