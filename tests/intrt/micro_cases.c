#include "micro_cases.h"

#include <string.h>

#include "intrt/arith.h"
#include "intrt/micro/dsp.h"
#include "intrt/micro/packed.h"

/* Which of a case's arrays micro_memory is asked for. */
enum { kWritten, kCodes0, kCodes1, kWeights, kStart };

#define REQUIRE(holds) \
  if (!(holds)) return __LINE__

static uint64_t random_state = 1;
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
static int8_t* codes_of(int array, uint32_t count, int kind) {
  int8_t* const codes = micro_memory(array, count);
  for (uint32_t i = 0; i < count; ++i) codes[i] = (int8_t)drawn(kind, -128, 127);
  return codes;
}
static int16_t* numbers_of(int array, uint32_t count, int kind, int32_t lo, int32_t hi) {
  int16_t* const numbers = micro_memory(array, 2 * count);
  for (uint32_t i = 0; i < count; ++i) numbers[i] = (int16_t)drawn(kind, lo, hi);
  return numbers;
}
static int32_t* starts(int kind) {
  int32_t* const start = micro_memory(kStart, 16);
  for (int i = 0; i < 4; ++i) start[i] = drawn(kind, -1000000000, 1000000000);
  return start;
}

/* ---- panels */

/* Where tap t of position p is: of four taps the even ones make a pair; or the first ones. */
static int32_t dsp_place(int32_t t, int32_t p) {
  static const int32_t kPlaces[4] = {0, 4, 1, 5};
  return 8 * (t / 4) + 2 * p + kPlaces[t % 4];
}
static int32_t dsp_place_in_order(int32_t t, int32_t p) { return 4 * (t / 2) + 2 * p + t % 2; }

/* Which part of `count` taps has codes: all, none, or some, with ends that may lie outside. */
static void draw_part(int part, int32_t count, int32_t* begin, int32_t* end) {
  *begin = part == 0 ? 0 : between(0, count + 8);
  *end = part == 0 ? count : part == 1 ? *begin : between(-2, count + 8);
}
static uint32_t part_of(int32_t begin, int32_t end, int32_t count) {
  const int32_t last = end < count ? end : count;
  return last > begin ? (uint32_t)(last - begin) : 0u;
}

enum { kMostTaps = 24, kMostNumbers = 2 * (kMostTaps + 8) };

static int dsp_panel_case(int in_order, int32_t first, int32_t count, int part0, int part1) {
  const uint32_t numbers = in_order ? 4u * (uint32_t)((first + count + 1) / 2)
                                    : 8u * (uint32_t)((first + count + 3) / 4);
  int16_t expected[kMostNumbers];
  int32_t begin[2], end[2];
  draw_part(part0, count, &begin[0], &end[0]);
  draw_part(part1, count, &begin[1], &end[1]);
  int16_t* const panel = numbers_of(kWritten, numbers, 0, -32768, 32767);
  const int8_t* codes[2];
  for (int p = 0; p < 2; ++p) codes[p] = codes_of(kCodes0 + p, part_of(begin[p], end[p], count), 0);
  memcpy(expected, panel, 2 * numbers);
  for (int32_t p = 0; p < 2; ++p)
    for (int32_t i = 0; i < count; ++i)
      expected[in_order ? dsp_place_in_order(first + i, p) : dsp_place(first + i, p)] =
          i >= begin[p] && i < end[p] ? codes[p][i - begin[p]] : (int16_t)0;
  if (in_order)
    intrt_dsp_panel_in_order(panel, first, count, codes[0], begin[0], end[0], codes[1], begin[1],
                             end[1]);
  else
    intrt_dsp_panel(panel, first, count, codes[0], begin[0], end[0], codes[1], begin[1], end[1]);
  REQUIRE(memcmp(panel, expected, 2 * numbers) == 0);
  REQUIRE(micro_memory_intact());
  return 0;
}

/* Four columns of three rows, of which begin, end, left and right leave out some. */
static int panel_3x3_case(int32_t begin, int32_t end, int32_t left, int32_t right,
                          int32_t row_step) {
  static const int32_t kPlaces[9] = {0, 12, 1, 4, 13, 5, 8, 16, 9}; /* of row * 3 + column */
  const int32_t rows = end - begin, columns = 4 - left - right;
  int16_t* const panel = numbers_of(kWritten, 20, 0, -32768, 32767);
  const int8_t* const codes =
      codes_of(kCodes0, rows == 0 ? 0 : (uint32_t)((rows - 1) * row_step + columns), 0);
  int16_t expected[20];
  memset(expected, 0, sizeof expected);
  for (int32_t r = begin; r < end; ++r)
    for (int32_t k = left; k < 4 - right; ++k)
      for (int32_t p = 0; p < 2; ++p)
        if (k - p >= 0 && k - p < 3)
          expected[kPlaces[r * 3 + k - p] + 2 * p] = codes[(r - begin) * row_step + k - left];
  intrt_dsp_panel_3x3(panel, codes, row_step, begin, end, left, right);
  REQUIRE(memcmp(panel, expected, sizeof expected) == 0);
  REQUIRE(micro_memory_intact());
  return 0;
}

/* Word `word` of a tap: of positions 2 * word and 2 * word + 1. */
static int packed_pair_case(int32_t first, int32_t count, int part0, int part1, int word) {
  const uint32_t numbers = 2u * (uint32_t)(first + count);
  int32_t expected[2 * kMostNumbers];
  int32_t begin[2], end[2];
  draw_part(part0, count, &begin[0], &end[0]);
  draw_part(part1, count, &begin[1], &end[1]);
  int32_t* const panel = micro_memory(kWritten, 4 * numbers);
  for (uint32_t i = 0; i < numbers; ++i) expected[i] = panel[i] = between(-1000, 1000);
  const int8_t* codes[2];
  for (int p = 0; p < 2; ++p) codes[p] = codes_of(kCodes0 + p, part_of(begin[p], end[p], count), 0);
  for (int32_t i = 0; i < count; ++i) {
    int32_t number = 0;
    for (int p = 0; p < 2; ++p)
      if (i >= begin[p] && i < end[p]) number += (p == 0 ? 1 : 65536) * codes[p][i - begin[p]];
    expected[2 * (first + i) + word] = number;
  }
  intrt_packed_pair(panel + word, first, count, codes[0], begin[0], end[0], codes[1], begin[1],
                    end[1]);
  REQUIRE(memcmp(panel, expected, 4 * numbers) == 0);
  REQUIRE(micro_memory_intact());
  return 0;
}

/* Four positions, `step` apart, of what is begin .. end - 1. */
static int packed_panel_case(int32_t first, int32_t count, int32_t step, int part) {
  const uint32_t numbers = 2u * (uint32_t)(first + count);
  const int32_t all = 3 * step + count;
  int32_t expected[2 * kMostNumbers];
  int32_t begin, end;
  draw_part(part, all, &begin, &end);
  int32_t* const panel = micro_memory(kWritten, 4 * numbers);
  for (uint32_t i = 0; i < numbers; ++i) expected[i] = panel[i] = between(-1000, 1000);
  const int8_t* const codes = codes_of(kCodes0, part_of(begin, end, all), 0);
  for (int32_t i = 0; i < count; ++i)
    for (int32_t word = 0; word < 2; ++word) {
      int32_t number = 0;
      for (int32_t p = 2 * word; p < 2 * word + 2; ++p)
        if (p * step + i >= begin && p * step + i < end)
          number += (p % 2 == 0 ? 1 : 65536) * codes[p * step + i - begin];
      expected[2 * (first + i) + word] = number;
    }
  intrt_packed_panel(panel, first, count, codes, step, begin, end);
  REQUIRE(memcmp(panel, expected, 4 * numbers) == 0);
  REQUIRE(micro_memory_intact());
  return 0;
}

static int panel_cases(void) {
  for (int32_t begin = 0; begin <= 3; ++begin)
    for (int32_t end = begin; end <= 3; ++end)
      for (int32_t sides = 0; sides < 4; ++sides)
        for (int32_t row_step = 4; row_step < 40; row_step += 9) {
          const int failed = panel_3x3_case(begin, end, sides & 1, sides >> 1, row_step);
          if (failed != 0) return failed;
        }
  for (int32_t first = 0; first < 8; ++first)
    for (int32_t count = 0; count <= kMostTaps; ++count)
      for (int parts = 0; parts < 9; ++parts) {
        int failed = dsp_panel_case(0, first, count, parts / 3, parts % 3);
        if (failed == 0) failed = dsp_panel_case(1, first, count, parts / 3, parts % 3);
        if (failed == 0) failed = packed_pair_case(first, count, parts / 3, parts % 3, parts & 1);
        if (failed == 0) failed = packed_panel_case(first, count, parts * 3, parts % 3);
        if (failed != 0) return failed;
      }
  return 0;
}

/* ---- sums of products */

static int same_sums(const int32_t* sums, const int64_t* expected) {
  for (int i = 0; i < 8; ++i)
    if (sums[i] != expected[i]) return 0;
  return micro_memory_intact();
}

/* Sums of up to 2^31 - 1, whatever the codes: those of 16 bits with fewer taps. */
static int dsp_dot_case(int32_t pairs, int kind, int32_t most_code, int32_t most_weight) {
  const uint32_t taps = 2u * (uint32_t)pairs;
  const int16_t* const panel = numbers_of(kCodes0, 2 * taps, kind, -most_code, most_code - 1);
  const int16_t* const weights =
      numbers_of(kWeights, 4 * taps, kind, -most_weight, most_weight - 1);
  const int32_t* const start = starts(kind);
  int32_t* const sums = micro_memory(kWritten, 32);
  int64_t expected[8];
  for (int32_t c = 0; c < 4; ++c)
    for (int32_t p = 0; p < 2; ++p) {
      int64_t sum = start[c];
      for (int32_t t = 0; t < (int32_t)taps; ++t)
        sum += (int64_t)panel[4 * (t / 2) + 2 * p + t % 2] * weights[8 * (t / 2) + 2 * c + t % 2];
      expected[2 * c + p] = sum;
    }
  intrt_dsp_dot_4x2(sums, start, panel, weights, pairs);
  REQUIRE(same_sums(sums, expected));
  return 0;
}

/* The same with weights of 8 bits and the pairs that intrt_dsp_panel makes. */
static int dsp_dot8_case(int32_t groups, int kind) {
  const uint32_t taps = 4u * (uint32_t)groups;
  const int16_t* const panel = numbers_of(kCodes0, 2 * taps, kind, -128, 127);
  const int8_t* const weights = codes_of(kWeights, 4 * taps, kind);
  const int32_t* const start = starts(kind);
  int32_t* const sums = micro_memory(kWritten, 32);
  int64_t expected[8];
  for (int32_t c = 0; c < 4; ++c)
    for (int32_t p = 0; p < 2; ++p) {
      int64_t sum = start[c];
      for (int32_t t = 0; t < (int32_t)taps; ++t)
        sum += (int64_t)panel[dsp_place(t, p)] * weights[16 * (t / 4) + 4 * c + t % 4];
      expected[2 * c + p] = sum;
    }
  intrt_dsp_dot8_4x2(sums, start, panel, weights, groups);
  REQUIRE(same_sums(sums, expected));
  return 0;
}

/* Chunks of so many pairs of taps as `lengths` says; the weights are small enough for them. */
static int packed_dot_case(const uint8_t* lengths, int32_t chunks, int kind) {
  enum { kMost = 128 };
  int8_t codes[4][kMost];
  uint32_t taps = 0;
  for (int32_t n = 0; n < chunks; ++n) taps += 2u * lengths[n];
  if (taps > kMost) return 0;
  int32_t* const panel = micro_memory(kCodes0, 8 * taps);
  int8_t* const weights = micro_memory(kWeights, 4 * taps);
  uint8_t* const listed = micro_memory(kCodes1, (uint32_t)chunks);
  uint32_t t = 0;
  for (int32_t n = 0; n < chunks; ++n) {
    const int32_t limit = 32767 / (256 * lengths[n]), most = limit < 127 ? limit : 127;
    listed[n] = lengths[n];
    for (int32_t i = 0; i < 2 * lengths[n]; ++i, ++t) {
      for (int p = 0; p < 4; ++p) codes[p][t] = (int8_t)drawn(kind, -128, 127);
      for (int word = 0; word < 2; ++word)
        panel[2 * t + (uint32_t)word] = codes[2 * word][t] + 65536 * codes[2 * word + 1][t];
      for (uint32_t c = 0; c < 4; ++c) weights[4 * t + c] = (int8_t)drawn(kind, -most, most);
    }
  }
  const int32_t* const start = starts(kind);
  int32_t* const sums = micro_memory(kWritten, 64);
  int64_t expected[16];
  for (uint32_t i = 0; i < 16; ++i) {
    expected[i] = start[i / 4];
    for (t = 0; t < taps; ++t) expected[i] += codes[i % 4][t] * weights[4 * t + i / 4];
  }
  intrt_packed_dot_4x4(sums, start, panel, weights, listed, chunks);
  for (int i = 0; i < 16; ++i) REQUIRE(sums[i] == expected[i]);
  REQUIRE(micro_memory_intact());
  return 0;
}

/* Chunks whose sums are -32768 and 32767, at each of the positions. */
static int packed_end_case(void) {
  static const int8_t kCodes[2][6] = {{-128, -128, -128, -128, 0, 0}, {127, 127, 127, 1, 0, 0}};
  static const int8_t kWeightsOf[2][6] = {{127, 127, 1, 1, 9, 9}, {127, 127, 4, 1, 9, 9}};
  static const uint8_t kLengths[2] = {3, 3};
  for (int at_ends = 0; at_ends < 64; ++at_ends) {
    int32_t* const panel = micro_memory(kCodes0, 96);
    int8_t* const weights = micro_memory(kWeights, 48);
    const int32_t* const start = starts(0);
    int32_t* const sums = micro_memory(kWritten, 64);
    int64_t expected[16];
    for (int i = 0; i < 16; ++i) expected[i] = start[i / 4];
    for (int t = 0; t < 12; ++t) {
      const int high = at_ends >> (t / 6) & 1;
      int32_t code[4];
      for (int p = 0; p < 4; ++p) /* the extreme sum, or 0 */
        code[p] = at_ends >> (2 + p) & 1 ? kCodes[high][t % 6] : 0;
      panel[2 * t] = code[0] + 65536 * code[1];
      panel[2 * t + 1] = code[2] + 65536 * code[3];
      for (int c = 0; c < 4; ++c) {
        weights[4 * t + c] = kWeightsOf[high][t % 6];
        for (int p = 0; p < 4; ++p) expected[4 * c + p] += code[p] * weights[4 * t + c];
      }
    }
    intrt_packed_dot_4x4(sums, start, panel, weights, kLengths, 2);
    for (int i = 0; i < 16; ++i) REQUIRE(sums[i] == expected[i]);
    if (at_ends == 4 + 3) REQUIRE(sums[0] == start[0] + 2 * 32767);
    if (at_ends == 4) REQUIRE(sums[0] == start[0] - 2 * 32768);
  }
  return 0;
}

static int dot_cases(void) {
  for (int kind = 0; kind < 3; ++kind)
    for (int32_t pairs = 1; pairs <= 90; ++pairs) {
      int failed = dsp_dot_case(pairs, kind, 128, 128);
      if (failed == 0) failed = dsp_dot_case(pairs, kind, 128, 32768);
      if (failed == 0 && pairs <= 2) failed = dsp_dot_case(pairs, 0, 16384, 16384);
      if (failed == 0) failed = dsp_dot8_case(pairs, kind);
      uint8_t lengths[8];
      for (int n = 0; n < 8; ++n)
        lengths[n] = (uint8_t)(pairs <= 64 && n == 0 ? pairs : between(1, pairs % 12 + 1));
      for (int32_t chunks = 1; chunks <= 8 && failed == 0; ++chunks)
        failed = packed_dot_case(lengths, chunks, kind);
      if (failed != 0) return failed;
    }
  return packed_end_case();
}

/* ---- products one by one */

/* The pairs at `at` of codes and of weights, which is a constant for the former. */
#define SINGLE_CASE(at)                                                                         \
  {                                                                                             \
    const int16_t* const codes = numbers_of(kCodes0, (at) + 4, kind, -32768, 32767);            \
    const int16_t* const weights = numbers_of(kWeights, 4, kind, -16384, 16383);                \
    int32_t* const sums = micro_memory(kWritten, 8);                                            \
    uint32_t x[2], w[2];                                                                        \
    int64_t expected[2];                                                                        \
    for (int p = 0; p < 2; ++p) {                                                               \
      sums[p] = drawn(kind, -1000000, 1000000);                                                 \
      expected[p] = sums[p];                                                                    \
      for (int k = 0; k < 2; ++k) expected[p] += (int64_t)codes[(at) + 2 * p + k] * weights[k]; \
    }                                                                                           \
    intrt_dsp_take(x, codes, at);                                                               \
    intrt_dsp_take(w, weights, 0);                                                              \
    intrt_dsp_multiply(sums, x, w[0]);                                                          \
    for (int p = 0; p < 2; ++p)                                                                 \
      for (int k = 0; k < 2; ++k)                                                               \
        expected[p] += (int64_t)codes[(at) + 2 * p + k] * (weights[2 + k] >> 14);               \
    for (int k = 0; k < 2; ++k) numbers[k] = (int16_t)(weights[2 + k] >> 14);                   \
    numbers[2] = numbers[3] = 0;                                                                \
    intrt_dsp_take(w, numbers, 0);                                                              \
    intrt_dsp_multiply(sums, x, w[0]);                                                          \
    REQUIRE(sums[0] == expected[0] && sums[1] == expected[1] && micro_memory_intact());         \
  }

static int single_cases(void) {
  static _Alignas(4) int16_t numbers[4];
  for (int i = 0; i < 200; ++i) {
    const int kind = i % 3;
    SINGLE_CASE(0)
    SINGLE_CASE(2)
    SINGLE_CASE(4)
    SINGLE_CASE(254)
    SINGLE_CASE(256)
    SINGLE_CASE(508)
  }
  return 0;
}

/* ---- strips */

enum { kMostColumns = 7 };

static int strip_case(int32_t columns, int32_t begin, int32_t end, int32_t row_step,
                      int32_t column_step) {
  const uint32_t numbers = 16u * (uint32_t)columns;
  const int32_t rows = end - begin;
  const int32_t bytes =
      rows == 0 || columns == 0 ? 0 : (rows - 1) * row_step + (columns - 1) * column_step + 4;
  int16_t expected[16 * kMostColumns];
  int16_t* const strip = numbers_of(kWritten, numbers, 0, -32768, 32767);
  const int8_t* const codes = codes_of(kCodes0, (uint32_t)bytes, 0);
  for (int32_t k = 0; k < columns; ++k)
    for (int32_t c = 0; c < 4; ++c)
      for (int32_t r = 0; r < 4; ++r)
        expected[16 * k + 4 * c + r] = r >= begin && r < end
                                           ? codes[(r - begin) * row_step + k * column_step + c]
                                           : (int16_t)0;
  intrt_dsp_strip(strip, columns, codes, row_step, column_step, begin, end);
  REQUIRE(memcmp(strip, expected, 2 * numbers) == 0);
  REQUIRE(micro_memory_intact());
  return 0;
}

static int strip_dot_case(int32_t columns, int kind, int32_t most_weight) {
  const uint32_t numbers = 16u * (uint32_t)columns;
  const int16_t* const strip = numbers_of(kCodes0, numbers, kind, -128, 127);
  const int16_t* const weights = numbers_of(kWeights, numbers, kind, -most_weight, most_weight - 1);
  const int32_t* const start = starts(kind);
  int32_t* const sums = micro_memory(kWritten, 32);
  int64_t expected[8];
  for (int32_t c = 0; c < 4; ++c)
    for (int32_t r = 0; r < 2; ++r) {
      int64_t sum = start[c];
      for (int32_t k = 0; k < columns; ++k) {
        const int16_t* const x = strip + 16 * k + 4 * c + r;
        const int16_t* const w = weights + 16 * k + 4 * c;
        sum += (int64_t)x[0] * w[0] + (int64_t)x[1] * w[1 + r] + (int64_t)x[2] * w[3];
      }
      expected[2 * c + r] = sum;
    }
  intrt_dsp_strip_dot(sums, start, strip, weights, columns);
  REQUIRE(same_sums(sums, expected));
  return 0;
}

static int strip_cases(void) {
  for (int32_t columns = 0; columns <= kMostColumns; ++columns)
    for (int32_t begin = 0; begin <= 4; ++begin)
      for (int32_t end = begin; end <= 4; ++end)
        for (int32_t steps = 0; steps < 4; ++steps) {
          const int32_t column_step = steps < 2 ? 4 : 9;
          const int failed = strip_case(columns, begin, end, steps % 2 == 0 ? 40 : 3, column_step);
          if (failed != 0) return failed;
        }
  for (int kind = 0; kind < 3; ++kind)
    for (int32_t columns = 1; columns <= kMostColumns; ++columns) {
      int failed = strip_dot_case(columns, kind, 128);
      if (failed == 0) failed = strip_dot_case(columns, kind, 32768);
      if (failed != 0) return failed;
    }
  return 0;
}

/* ---- sums of two tensors */

static int add_case(int32_t count, int kind, int shift, int32_t lo, int in_place) {
  int8_t expected[64];
  int8_t* const out = codes_of(kWritten, (uint32_t)count, kind);
  const int8_t* const a = in_place == 1 ? out : codes_of(kCodes0, (uint32_t)count, kind);
  const int8_t* const b = in_place == 2 ? out : codes_of(kCodes1, (uint32_t)count, kind);
  for (int32_t i = 0; i < count; ++i) {
    int32_t sum = a[i] + b[i];
    if (shift == 1) sum = (sum - (sum & 1)) / 2;
    expected[i] = (int8_t)(sum < lo ? lo : sum > 127 ? 127 : sum);
  }
  intrt_dsp_add(out, a, b, count, shift, lo);
  REQUIRE(memcmp(out, expected, (uint32_t)count) == 0);
  REQUIRE(micro_memory_intact());
  return 0;
}

static int add_cases(void) {
  for (int32_t count = 0; count <= 64; ++count)
    for (int kind = 0; kind < 3; ++kind)
      for (int way = 0; way < 12; ++way) {
        const int failed = add_case(count, kind, way & 1, (way & 2) ? 0 : -128, way / 4);
        if (failed != 0) return failed;
      }
  return 0;
}

/* ---- the arithmetic */

static int64_t clamped(int64_t x, int64_t lo, int64_t hi) { return x < lo ? lo : x > hi ? hi : x; }

static int32_t any_number(int32_t i) {
  static const int32_t kEnds[] = {0,    1,    -1,        127,       128,
                                  -128, -129, INT32_MAX, INT32_MIN, INT32_MIN + 1};
  const int32_t ends = (int32_t)(sizeof kEnds / sizeof *kEnds);
  return i < ends ? kEnds[i]
                  : (int32_t)((uint32_t)between(0, 65535) << 16 | (uint32_t)between(0, 65535)) >>
                        between(0, 31);
}

int micro_arithmetic_cases(void) {
  for (int32_t i = 0; i < 12000; ++i) {
    const int32_t x = any_number(i), m = any_number(i % 50);
    REQUIRE(intrt_clamp(x, -128, 127) == clamped(x, -128, 127));
    REQUIRE(intrt_clamp(x, 0, 127) == clamped(x, 0, 127));
    REQUIRE(intrt_clamp(x, -32, 31) == clamped(x, -32, 31));
    for (int shift = 0; shift <= 30; ++shift) {
      REQUIRE(intrt_shift_right_toward_zero(x, shift) == (int64_t)x / ((int64_t)1 << shift));
      REQUIRE(intrt_clamp(intrt_shift_right_toward_zero(x, shift), -128, 127) ==
              clamped((int64_t)x / ((int64_t)1 << shift), -128, 127));
      REQUIRE(intrt_clamp(intrt_shift_right_floor(x, shift), 0, 127) ==
              clamped(x >> shift, 0, 127));
    }
    for (int32_t k = 0; k < 20; ++k) {
      const int64_t addend = (int64_t)any_number(k) * (1 << 30);
      const int64_t wide = (int64_t)x * m + addend;
      const int64_t floor = wide >> 32;
      const int64_t toward_zero = wide / ((int64_t)1 << 32);
      REQUIRE(intrt_scale_high(x, m, addend, INTRT_ROUND_FLOOR, -128, 127) ==
              clamped(floor, -128, 127));
      REQUIRE(intrt_scale_high(x, m, addend, INTRT_ROUND_TOWARD_ZERO, -128, 127) ==
              clamped(toward_zero, -128, 127));
      const int32_t small = any_number(k) / 4;
      const int64_t top = (((int64_t)x * m) >> 32) + small;
      REQUIRE(intrt_scale_top(x, m, small, -128, 127) == clamped(top, -128, 127));
      REQUIRE(intrt_scale_top(x, m, small, -30000, 32767) == clamped(top, -30000, 32767));
    }
  }
  return 0;
}

int micro_run(int (*const cases[])(void), int count, int times) {
  int failed = 0;
  for (int i = 0; i < count * times && failed == 0; ++i) failed = cases[i % count]();
  return failed;
}

int micro_cases(void) {
  static int (*const kCases[])(void) = {panel_cases,        dot_cases,          single_cases,
                                        strip_cases,        add_cases,
#ifndef MICRO_NO_MVE
                                        micro_mve_cases,
#endif
#ifndef MICRO_NO_NEON
                                        micro_neon_cases,
#endif
                                        micro_sparse_cases, micro_linear_cases, micro_wide_cases};
  return micro_run(kCases, sizeof kCases / sizeof *kCases, 1);
}

int micro_has_dsp(void) { return INTRT_HAS_DSP; }
