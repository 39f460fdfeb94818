#include <string.h>

#include "intrt/arith.h"
#include "intrt/micro/sparse.h"
#include "micro_cases.h"

/* Which of a case's arrays micro_memory is asked for. */
enum { kWritten, kCodes0, kCodes1, kEntries, kStart };

#define REQUIRE(holds) \
  if (!(holds)) return __LINE__

static uint64_t random_state = 7;
static int32_t between(int32_t lo, int32_t hi) {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return lo + (int32_t)((random_state >> 33) % (uint32_t)(hi - lo + 1));
}

static int8_t* codes_of(int array, int32_t count) {
  int8_t* const codes = micro_memory(array, (uint32_t)count);
  for (int32_t i = 0; i < count; ++i) codes[i] = (int8_t)between(-128, 127);
  return codes;
}

/* Which part of `count` codes there is: all, none, or some, with ends that may lie outside. */
static void draw_part(int part, int32_t count, int32_t* begin, int32_t* end) {
  *begin = part == 0 ? 0 : between(0, between(0, 1) ? 1 : count + 4);
  *end = part == 0   ? count
         : part == 1 ? *begin
                     : between(between(0, 1) ? count - 1 : -2, count + 4);
}
static int32_t size_of_part(int32_t begin, int32_t end, int32_t count) {
  const int32_t last = end < count ? end : count;
  return last > begin ? last - begin : 0;
}

enum { kMostNumbers = 24 * 15 };

static int32_t* numbers_of(int32_t* expected, int32_t count) {
  int32_t* const panel = micro_memory(kWritten, 4 * (uint32_t)count);
  for (int32_t i = 0; i < count; ++i) expected[i] = panel[i] = between(-1000, 1000);
  return panel;
}

static int pair_case(int32_t words, int32_t count, int part0, int part1) {
  const int32_t numbers = count == 0 ? 0 : (count - 1) * words + 1;
  int32_t expected[kMostNumbers], begin[2], end[2];
  draw_part(part0, count, &begin[0], &end[0]);
  draw_part(part1, count, &begin[1], &end[1]);
  int32_t* const panel = numbers_of(expected, numbers);
  const int8_t* codes[2];
  for (int p = 0; p < 2; ++p)
    codes[p] = codes_of(kCodes0 + p, size_of_part(begin[p], end[p], count));
  for (int32_t i = 0; i < count; ++i) {
    expected[words * i] = 0;
    for (int p = 0; p < 2; ++p)
      if (i >= begin[p] && i < end[p])
        expected[words * i] += (p == 0 ? 1 : 65536) * codes[p][i - begin[p]];
  }
  intrt_sparse_pair(panel, words, count, codes[0], begin[0], end[0], codes[1], begin[1], end[1]);
  REQUIRE(memcmp(panel, expected, 4 * (uint32_t)numbers) == 0);
  REQUIRE(micro_memory_intact());
  return 0;
}

static int columns_case(int32_t even, int32_t channels, int32_t step, int part) {
  const int32_t words = 2 * even - 1, columns = 2 * even, numbers = words * channels;
  int32_t expected[kMostNumbers], begin, end;
  draw_part(part, columns, &begin, &end);
  int32_t* const panel = numbers_of(expected, numbers);
  const int32_t there = size_of_part(begin, end, columns);
  const int8_t* const codes =
      codes_of(kCodes0, there == 0 || channels == 0 ? 0 : (there - 1) * step + channels);
  for (int32_t i = 0; i < channels; ++i)
    for (int32_t word = 0; word < words; ++word) {
      const int32_t first = word < even ? 2 * word : 2 * (word - even) + 1;
      int32_t number = 0;
      for (int32_t p = 0; p < 2; ++p)
        if (first + p >= begin && first + p < end)
          number += (p == 0 ? 1 : 65536) * codes[(first + p - begin) * step + i];
      expected[words * i + word] = number;
    }
  intrt_sparse_columns(panel, even, channels, codes, step, begin, end);
  REQUIRE(memcmp(panel, expected, 4 * (uint32_t)numbers) == 0);
  REQUIRE(micro_memory_intact());
  return 0;
}

static int panel_cases(void) {
  for (int parts = 0; parts < 9; ++parts)
    for (int32_t count = 0; count <= 24; ++count)
      for (int32_t words = 1; words <= 8; ++words) {
        int failed = pair_case(words, count, parts / 3, parts % 3);
        if (failed == 0) failed = columns_case(words, count, 24 + parts, parts % 3);
        if (failed != 0) return failed;
      }
  return 0;
}

/* As its comment says. */
static int32_t code_of(int64_t sum, int32_t multiplier, int32_t addend, int32_t lo, int32_t hi) {
  const int64_t product = sum * multiplier;
  const int64_t code = (product - (int64_t)(product & 0xffffffff)) / 4294967296 + addend;
  return (int32_t)(code < lo ? lo : code > hi ? hi : code);
}

/* intrt_sparse_codes_16 on what intrt_sparse_dot_16 would make `expected` of. */
static int codes_case(const int64_t* expected, const int32_t* start, int32_t channels,
                      const int32_t* panel, const int32_t* entries) {
  const int32_t step = channels + between(0, 3);
  const int32_t lo = between(0, 1) ? 0 : between(-128, 127), hi = between(lo, 127);
  int32_t* const constants = micro_memory(kStart, 12 * (uint32_t)channels);
  int8_t* const out = micro_memory(kWritten, (uint32_t)(15 * step + channels));
  int8_t kept[15 * 8 + 8];
  for (int32_t i = 0; i < 15 * step + channels; ++i) kept[i] = out[i] = (int8_t)between(-128, 127);
  for (int32_t c = 0; c < channels; ++c) {
    /* Powers of two as shifts have, and others; addends so that the codes are not all ends. */
    const int32_t size = 1 << between(0, 9);
    const int32_t multiplier = between(0, 1)   ? 4 * size
                               : between(0, 3) ? between(-size, size)
                                               : between(-1000000000, 1000000000);
    const int64_t usual = expected[16 * c] * multiplier / 4294967296;
    constants[3 * c] = start[c];
    constants[3 * c + 1] = multiplier;
    constants[3 * c + 2] =
        between(0, 7) ? (int32_t)-usual + between(-100, 100) : (1 << 30) * between(-1, 1);
  }
  for (int32_t i = 0; i < 16 * channels; ++i) {
    const int32_t* const constant = &constants[3 * (i / 16)];
    kept[i % 16 * step + i / 16] = (int8_t)code_of(expected[i], constant[1], constant[2], lo, hi);
  }
  intrt_sparse_codes_16(out, constants, channels, panel, entries, step, lo, hi);
  REQUIRE(memcmp(out, kept, (uint32_t)(15 * step + channels)) == 0);
  REQUIRE(micro_memory_intact());
  return 0;
}

/* `channels` channels, each of several chunks, with numbers of weights up to `most` of them. The
 * codes are the ends alone in half of the cases. */
static int dot_case(int words, int32_t channels, int32_t most, int ends) {
  enum { kWords = 40, kMostEntries = 200 };
  const int positions = 2 * words;
  int8_t codes[kWords + 8][2];
  int32_t listed[kMostEntries], count = 0;
  int64_t expected[64];
  int32_t* const panel = micro_memory(kCodes0, 4 * (kWords + 8));
  for (int i = 0; i < kWords + 8; ++i) {
    for (int p = 0; p < 2; ++p)
      codes[i][p] = (int8_t)(!ends ? between(-128, 127) : between(0, 1) ? -128 : 127);
    panel[i] = codes[i][0] + 65536 * codes[i][1];
  }
  int32_t* const start = micro_memory(kStart, 4 * (uint32_t)channels);
  for (int32_t c = 0; c < channels; ++c) {
    int32_t chunks = most == 0 ? 0 : between(c == 0 ? 0 : 1, 3);
    start[c] = between(-1000000000, 1000000000);
    for (int p = 0; p < positions; ++p) expected[c * positions + p] = start[c];
    for (int32_t n = 0; n < chunks; ++n) {
      int32_t left = 255;
      for (int32_t i = between(1, most); i > 0 && left > 0; --i) {
        const int32_t size = i == 1 && left <= 128 ? left : between(1, left > 127 ? 127 : left);
        const int32_t weight = size == 128 || between(0, 1) ? -size : size;
        const int32_t at = between(0, kWords - 8) + (i & 7);
        listed[count++] = weight * 65536 + 4 * at;
        left -= size;
        for (int p = 0; p < positions; ++p)
          expected[c * positions + p] += weight * codes[at + p / 2][p % 2];
      }
      listed[count++] = n + 1 == chunks ? chunks : 0;
    }
    if (chunks == 0) listed[count++] = 0;
  }
  int32_t* const entries = micro_memory(kEntries, 4 * (uint32_t)count);
  memcpy(entries, listed, 4 * (uint32_t)count);
  int32_t* const sums = micro_memory(kWritten, 4 * (uint32_t)(positions * channels));
  if (words == 4)
    intrt_sparse_dot_8(sums, start, channels, panel, entries);
  else
    intrt_sparse_dot_16(sums, start, channels, panel, entries);
  for (int i = 0; i < positions * channels; ++i) REQUIRE(sums[i] == expected[i]);
  REQUIRE(micro_memory_intact());
  if (words == 4) return 0;
  int32_t starts[4];
  memcpy(starts, start, 4 * (uint32_t)channels);
  return codes_case(expected, starts, channels, panel, entries);
}

/* Chunks whose sums are -32768 and 32767, at each of the positions. */
static int end_case(int words) {
  static const int8_t kCodes[2][4] = {{-128, -128, -128, -128}, {127, 127, 127, 1}};
  static const int32_t kWeights[2][4] = {{127, 127, 1, 1}, {127, 127, 4, 1}};
  enum { kCount = 3 };
  const int positions = 2 * words;
  for (int at_ends = 0; at_ends < 8 * positions; ++at_ends) {
    int32_t* const panel = micro_memory(kCodes0, (uint32_t)(16 * kCount * words));
    int32_t* const entries = micro_memory(kEntries, 20 * kCount);
    int32_t* const start = micro_memory(kStart, 4);
    int32_t* const sums = micro_memory(kWritten, (uint32_t)(4 * positions));
    int64_t expected[16];
    int count = 0;
    *start = between(-1000000000, 1000000000);
    for (int p = 0; p < positions; ++p) expected[p] = *start;
    for (int n = 0; n < kCount; ++n) {
      const int high = at_ends >> n & 1;
      for (int t = 0; t < 4; ++t) {
        for (int word = 0; word < words; ++word) {
          int32_t pair[2]; /* both at the end, or one of them, or all */
          for (int p = 0; p < 2; ++p) {
            pair[p] = at_ends / 8 == 2 * word + p || at_ends % 3 == 0 ? kCodes[high][t] : 0;
            expected[2 * word + p] += pair[p] * kWeights[high][t];
          }
          panel[(4 * n + t) * words + word] = pair[0] + 65536 * pair[1];
        }
        entries[count++] = kWeights[high][t] * 65536 + 4 * (4 * n + t) * words;
      }
      entries[count++] = n + 1 == kCount ? kCount : 0;
    }
    if (words == 4)
      intrt_sparse_dot_8(sums, start, 1, panel, entries);
    else
      intrt_sparse_dot_16(sums, start, 1, panel, entries);
    for (int p = 0; p < positions; ++p) REQUIRE(sums[p] == expected[p]);
  }
  return 0;
}

int micro_sparse_cases(void) {
  int failed = panel_cases();
  for (int32_t i = 0; i < 600 && failed == 0; ++i)
    failed = dot_case(i & 1 ? 4 : 8, 1 + (i >> 1) % 4, i % 7 == 0 ? 0 : i % 13, i / 8 % 2);
  if (failed == 0) failed = end_case(4);
  if (failed == 0) failed = end_case(8);
  return failed;
}
