/* The micro-kernels of intrt/micro/linear.h. */
#include "intrt/arith.h"
#include "intrt/micro/linear.h"
#include "micro_cases.h"

/* Which of a case's arrays micro_memory is asked for. */
enum { kWritten, kCodes, kLengths, kWeights, kStart };

#define REQUIRE(holds) \
  if (!(holds)) return __LINE__

static uint64_t random_state = 5;
static int32_t between(int32_t lo, int32_t hi) {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return lo + (int32_t)((random_state >> 33) % (uint32_t)(hi - lo + 1));
}
/* One of several kinds of numbers: any, the ends alone, the lowest alone. */
static int32_t drawn(int kind, int32_t lo, int32_t hi) {
  if (kind == 0) return between(lo, hi);
  if (kind == 1) return between(0, 1) ? lo : hi;
  return lo;
}

enum { kMostTaps = 512 };
static int8_t* codes_of(int32_t count, int kind) {
  int8_t* const codes = micro_memory(kCodes, (uint32_t)count);
  for (int32_t i = 0; i < count; ++i) codes[i] = (int8_t)drawn(kind, -128, 127);
  return codes;
}
static int32_t* starts(int kind) {
  int32_t* const start = micro_memory(kStart, 16);
  for (int i = 0; i < 4; ++i) start[i] = drawn(kind, -1000000000, 1000000000);
  return start;
}
static int are_sums(const int32_t* sums, const int64_t* expected) {
  for (int c = 0; c < 4; ++c)
    if (sums[c] != expected[c]) return 0;
  return micro_memory_intact();
}

/* Where the number of tap t of channel 0 is: of four taps the even ones make a pair; `each` numbers
 * lie between two pairs. */
static int32_t place_of(int32_t t, int32_t each) {
  return t / 4 * 4 * each + t % 2 * 2 * each + t / 2 % 2;
}

static int dot16_case(int32_t groups, int kind, int32_t most) {
  const int8_t* const codes = codes_of(4 * groups, kind);
  int16_t* const weights = micro_memory(kWeights, 32u * (uint32_t)groups);
  const int32_t* const start = starts(kind);
  int32_t* const sums = micro_memory(kWritten, 16);
  int64_t expected[4];
  for (int32_t c = 0; c < 4; ++c) {
    expected[c] = start[c];
    for (int32_t t = 0; t < 4 * groups; ++t) {
      const int32_t weight = drawn(kind, -most, most - 1);
      weights[place_of(t, 4) + 2 * c] = (int16_t)weight;
      expected[c] += codes[t] * weight;
    }
  }
  intrt_linear_dot16(sums, start, codes, weights, groups);
  REQUIRE(are_sums(sums, expected));
  return 0;
}

/* The sums of the second channels may have 24 bits: `kind` 1 and 2 with many taps come near. */
static int dot8_case(int32_t groups, int kind) {
  const int8_t* const codes = codes_of(4 * groups, kind);
  int16_t* const weights = micro_memory(kWeights, 16u * (uint32_t)groups);
  const int32_t* const start = starts(kind);
  int32_t* const sums = micro_memory(kWritten, 16);
  int64_t expected[4];
  for (int32_t d = 0; d < 2; ++d) {
    expected[2 * d] = start[2 * d];
    expected[2 * d + 1] = start[2 * d + 1];
    for (int32_t t = 0; t < 4 * groups; ++t) {
      const int32_t second = drawn(kind, -128, 127),
                    first = drawn(kind, second == -128 ? 0 : -128, 127);
      weights[place_of(t, 2) + 2 * d] = (int16_t)(first + 256 * second);
      expected[2 * d] += codes[t] * first;
      expected[2 * d + 1] += codes[t] * second;
    }
  }
  intrt_linear_dot8(sums, start, codes, weights, groups);
  REQUIRE(are_sums(sums, expected));
  return 0;
}

/* Sums of products of -2^23 and 2^23 - 1. */
static int dot8_end_case(int high) {
  enum { kGroups = 130 };
  int8_t* const codes = codes_of(4 * kGroups, 2);
  int16_t* const weights = micro_memory(kWeights, 16 * kGroups);
  const int32_t* const start = starts(0);
  int32_t* const sums = micro_memory(kWritten, 16);
  int64_t expected[4] = {start[0], start[1], start[2], start[3]};
  for (int32_t t = 0; t < 4 * kGroups; ++t) {
    int32_t second = t < 516 ? 127 : t == 516 ? 4 : 0;
    codes[t] = -128;
    if (high) {
      second = t < 512 ? -128 : t == 512 ? 1 : 0;
      codes[t] = (int8_t)(t < 511 ? -128 : t == 511 ? -127 : 127);
    }
    for (int32_t d = 0; d < 2; ++d) {
      weights[place_of(t, 2) + 2 * d] = (int16_t)(1 + 256 * second);
      expected[2 * d] += codes[t];
      expected[2 * d + 1] += codes[t] * second;
    }
  }
  intrt_linear_dot8(sums, start, codes, weights, kGroups);
  REQUIRE(are_sums(sums, expected));
  REQUIRE(sums[1] - start[1] == (high ? (1 << 23) - 1 : -(1 << 23)));
  return 0;
}

/* Chunks of so many pairs of taps as `lengths` says; the weights are small enough for them. */
static int packed_case(const uint8_t* lengths, int32_t chunks, int kind) {
  int32_t taps = 0, t = 0;
  for (int32_t n = 0; n < chunks; ++n) taps += 2 * lengths[n];
  if (taps > kMostTaps) return 0;
  const int8_t* const codes = codes_of(taps, kind);
  int32_t* const words = micro_memory(kWeights, 8u * (uint32_t)taps);
  uint8_t* const listed = micro_memory(kLengths, (uint32_t)chunks);
  const int32_t* const start = starts(kind);
  int32_t* const sums = micro_memory(kWritten, 16);
  int64_t expected[4] = {start[0], start[1], start[2], start[3]};
  for (int32_t n = 0; n < chunks; ++n) {
    const int32_t most = 32767 / (256 * lengths[n]);
    listed[n] = lengths[n];
    for (int32_t i = 0; i < 2 * lengths[n]; ++i, ++t)
      for (int32_t d = 0; d < 2; ++d) {
        const int32_t first = drawn(kind, -most, most), second = drawn(kind, -most, most);
        words[2 * t + d] = first + 65536 * second;
        expected[2 * d] += codes[t] * first;
        expected[2 * d + 1] += codes[t] * second;
      }
  }
  intrt_linear_packed(sums, start, codes, words, listed, chunks);
  REQUIRE(are_sums(sums, expected));
  return 0;
}

/* Chunks whose sums are -32768 and 32767 in each channel, beside others with 0. */
static int packed_end_case(int at_ends) {
  static const int8_t kCodesOf[2][6] = {{-128, -128, -128, -128, 0, 0}, {127, 127, 127, 1, 0, 0}};
  static const int8_t kWeightsOf[2][6] = {{127, 127, 1, 1, 9, 9}, {127, 127, 4, 1, 9, 9}};
  static const uint8_t kLengthsOf[2] = {3, 3};
  int8_t* const codes = codes_of(12, 0);
  int32_t* const words = micro_memory(kWeights, 96);
  const int32_t* const start = starts(0);
  int32_t* const sums = micro_memory(kWritten, 16);
  int64_t expected[4] = {start[0], start[1], start[2], start[3]};
  for (int32_t t = 0; t < 12; ++t) {
    const int high = at_ends >> (t / 6) & 1;
    codes[t] = kCodesOf[high][t % 6];
    words[2 * t] = words[2 * t + 1] = 0;
    for (int32_t c = 0; c < 4; ++c) {
      const int32_t weight = at_ends >> (2 + c) & 1 ? kWeightsOf[high][t % 6] : 0;
      words[2 * t + c / 2] += (c % 2 == 0 ? 1 : 65536) * weight;
      expected[c] += codes[t] * weight;
    }
  }
  intrt_linear_packed(sums, start, codes, words, kLengthsOf, 2);
  REQUIRE(are_sums(sums, expected));
  if (at_ends == 8 + 3) REQUIRE(sums[1] == start[1] + 2 * 32767);
  if (at_ends == 8) REQUIRE(sums[1] == start[1] - 2 * 32768);
  return 0;
}

int micro_linear_cases(void) {
  int failed = 0;
  for (int kind = 0; kind < 3; ++kind)
    for (int32_t groups = 1; groups <= 40 && failed == 0; ++groups) {
      failed = dot16_case(groups, kind, 128);
      if (failed == 0) failed = dot16_case(groups, kind, groups <= 2 ? 32768 : 20000 / groups);
      if (failed == 0) failed = dot8_case(groups, kind);
      uint8_t lengths[8];
      for (int n = 0; n < 8; ++n)
        lengths[n] = (uint8_t)(n == 0 ? groups : between(1, groups % 12 + 1));
      for (int32_t chunks = 1; chunks <= 8 && failed == 0; ++chunks)
        failed = packed_case(lengths, chunks, kind);
    }
  if (failed == 0) failed = dot8_case(127, 1);
  for (int high = 0; high < 2 && failed == 0; ++high) failed = dot8_end_case(high);
  for (int at_ends = 0; at_ends < 64 && failed == 0; ++at_ends) failed = packed_end_case(at_ends);
  return failed;
}
