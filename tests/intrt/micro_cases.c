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

/* Which part of `count` taps has codes: all, none, or some. */
static void draw_part(int part, int32_t count, int32_t* begin, int32_t* end) {
  *begin = part == 0 ? 0 : between(0, count);
  *end = part == 0 ? count : part == 1 ? *begin : between(*begin, count);
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
  for (int p = 0; p < 2; ++p) codes[p] = codes_of(kCodes0 + p, (uint32_t)(end[p] - begin[p]), 0);
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

static int packed_panel_case(int32_t first, int32_t count, int part0, int part1) {
  const uint32_t numbers = (uint32_t)(first + count);
  int32_t expected[kMostNumbers];
  int32_t begin[2], end[2];
  draw_part(part0, count, &begin[0], &end[0]);
  draw_part(part1, count, &begin[1], &end[1]);
  int32_t* const panel = micro_memory(kWritten, 4 * numbers);
  for (uint32_t i = 0; i < numbers; ++i) expected[i] = panel[i] = between(-1000, 1000);
  const int8_t* codes[2];
  for (int p = 0; p < 2; ++p) codes[p] = codes_of(kCodes0 + p, (uint32_t)(end[p] - begin[p]), 0);
  for (int32_t i = 0; i < count; ++i) {
    int32_t number = 0;
    for (int p = 0; p < 2; ++p)
      if (i >= begin[p] && i < end[p]) number += (p == 0 ? 1 : 65536) * codes[p][i - begin[p]];
    expected[first + i] = number;
  }
  intrt_packed_panel(panel, first, count, codes[0], begin[0], end[0], codes[1], begin[1], end[1]);
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
        if (failed == 0) failed = packed_panel_case(first, count, parts / 3, parts % 3);
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

static int packed_dot_case(int32_t count, int32_t chunk, int kind) {
  const int32_t most = 32767 / (128 * chunk) < 128 ? 32767 / (128 * chunk) : 127;
  int8_t codes[2][64];
  int32_t* const panel = micro_memory(kCodes0, 4u * (uint32_t)count);
  int8_t* const weights = micro_memory(kWeights, 4u * (uint32_t)count);
  for (int32_t t = 0; t < count; ++t) {
    for (int p = 0; p < 2; ++p) codes[p][t] = (int8_t)drawn(kind, -128, 127);
    panel[t] = codes[0][t] + 65536 * codes[1][t];
    for (int c = 0; c < 4; ++c) weights[4 * t + c] = (int8_t)drawn(kind, -most, most);
  }
  const int32_t* const start = starts(kind);
  int32_t* const sums = micro_memory(kWritten, 32);
  int64_t expected[8];
  for (int32_t i = 0; i < 8; ++i) {
    expected[i] = start[i / 2];
    for (int32_t t = 0; t < count; ++t) expected[i] += codes[i % 2][t] * weights[4 * t + i / 2];
  }
  intrt_packed_dot_4x2(sums, start, panel, weights, count, chunk);
  REQUIRE(same_sums(sums, expected));
  return 0;
}

/* Chunks whose sums are -32768 and 32767. */
static int packed_end_case(void) {
  static const int8_t kLow[5] = {-128, -128, -128, -128, 0}, kHigh[5] = {127, 127, 127, 1, 0};
  static const int8_t kLowWeights[5] = {127, 127, 1, 1, 9}, kHighWeights[5] = {127, 127, 4, 1, 9};
  for (int ends = 0; ends < 8; ++ends) {
    const int8_t* const weights_of = (ends & 1) ? kHighWeights : kLowWeights;
    const int8_t* const codes0 = (ends & 1) ? kHigh : kLow;
    const int32_t sign1 = (ends & 2) ? -1 : 1;
    int32_t* const panel = micro_memory(kCodes0, 20);
    int8_t* const weights = micro_memory(kWeights, 20);
    int64_t expected[8];
    const int32_t* const start = starts(0);
    for (int i = 0; i < 8; ++i) expected[i] = start[i / 2];
    for (int t = 0; t < 5; ++t) {
      /* The other position has the opposite codes, as far as there are some, or the same ones. */
      const int32_t code1 = sign1 < 0 && codes0[t] != -128 ? -codes0[t] : codes0[t];
      panel[t] = codes0[t] + 65536 * code1;
      for (int c = 0; c < 4; ++c) {
        weights[4 * t + c] = weights_of[t];
        expected[2 * c] += codes0[t] * weights_of[t];
        expected[2 * c + 1] += code1 * weights_of[t];
      }
    }
    int32_t* const sums = micro_memory(kWritten, 32);
    intrt_packed_dot_4x2(sums, start, panel, weights, 5, 5);
    REQUIRE(same_sums(sums, expected));
    REQUIRE(sums[0] - start[0] == ((ends & 1) ? 32767 : -32768));
  }
  return 0;
}

static int dot_cases(void) {
  for (int kind = 0; kind < 3; ++kind)
    for (int32_t pairs = 1; pairs <= 90; ++pairs) {
      int failed = dsp_dot_case(pairs, kind, 128, 128);
      if (failed == 0) failed = dsp_dot_case(pairs, kind, 128, 32768);
      if (failed == 0 && pairs <= 2) failed = dsp_dot_case(pairs, 0, 16384, 16384);
      for (int32_t chunk = 1; chunk <= 50 && failed == 0; chunk += chunk < 8 ? 1 : 13)
        failed = packed_dot_case(pairs % 64, chunk, kind);
      if (failed == 0) failed = packed_dot_case(0, 1, kind);
      if (failed != 0) return failed;
    }
  return packed_end_case();
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

static int arithmetic_cases(void) {
  for (int32_t i = 0; i < 2000; ++i) {
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

int micro_cases(void) {
  int failed = panel_cases();
  if (failed == 0) failed = dot_cases();
  if (failed == 0) failed = strip_cases();
  if (failed == 0) failed = add_cases();
  if (failed == 0) failed = arithmetic_cases();
  return failed;
}

int micro_has_dsp(void) { return INTRT_HAS_DSP; }
