/* The micro-kernels of intrt/micro/mve.h. */
#include <string.h>

#include "intrt/arith.h"
#include "intrt/micro/mve.h"
#include "micro_cases.h"

/* Which of a case's arrays micro_memory is asked for. */
enum { kWritten, kCodes0, kCodes1, kWeights, kStart };

#define REQUIRE(holds) \
  if (!(holds)) return __LINE__

static uint64_t random_state = 2;
static int32_t between(int32_t lo, int32_t hi) {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return lo + (int32_t)((random_state >> 33) % (uint32_t)(hi - lo + 1));
}
static int8_t* codes_of(int array, int32_t count, int32_t most) {
  int8_t* const codes = micro_memory(array, (uint32_t)count);
  for (int32_t i = 0; i < count; ++i)
    codes[i] = (int8_t)(most == 128 && between(0, 3) == 0 ? -128 : between(-most, most - 1));
  return codes;
}
static int32_t* numbers_of(int array, int32_t count, int32_t most) {
  int32_t* const numbers = micro_memory(array, 4u * (uint32_t)count);
  for (int32_t i = 0; i < count; ++i) numbers[i] = between(-most, most);
  return numbers;
}
static int64_t clamped(int64_t x, int64_t lo, int64_t hi) { return x < lo ? lo : x > hi ? hi : x; }
static int32_t place_of(int32_t c) { return 4 * (c % 4) + c / 4; }

/* ---- sums of products */

struct dot {
  int32_t apart, row_step, weight_step, rows, groups;
  const int32_t* start;
  const int8_t *codes, *weights;
  int32_t* sums;
};

static void draw_dot(struct dot* dot) {
  const int32_t last = dot->rows - 1;
  dot->start = numbers_of(kStart, 4, 1000000000);
  dot->codes = codes_of(kCodes0, dot->apart + last * dot->row_step + 16 * dot->groups, 128);
  dot->weights = codes_of(kWeights, last * dot->weight_step + 64 * dot->groups, 128);
  dot->sums = numbers_of(kWritten, 8, 1000);
}
static int is_dot(const struct dot* dot) {
  for (int32_t p = 0; p < 2; ++p)
    for (int32_t c = 0; c < 4; ++c) {
      int32_t sum = dot->start[c];
      for (int32_t r = 0; r < dot->rows; ++r)
        for (int32_t t = 0; t < 16 * dot->groups; ++t)
          sum += dot->codes[dot->apart * p + dot->row_step * r + t] *
                 dot->weights[dot->weight_step * r + 64 * (t / 16) + 16 * c + t % 16];
      if (dot->sums[4 * p + c] != sum) return 0;
    }
  return micro_memory_intact();
}

static volatile int32_t zero; /* of which the compiler knows nothing */

/* With numbers that the compiler knows; and with some, or all, that it does not. */
#define DOT(a, r, w, n, g)                                                                     \
  {                                                                                            \
    struct dot d = {a + zero, r + zero, w + zero, n + zero, g + zero, 0, 0, 0, 0};             \
    draw_dot(&d);                                                                              \
    intrt_mve_dot_4x2(d.sums, d.start, d.codes, a, r, d.weights, w, n, g);                     \
    REQUIRE(is_dot(&d));                                                                       \
    draw_dot(&d);                                                                              \
    intrt_mve_dot_4x2(d.sums, d.start, d.codes, d.apart, r, d.weights, w, d.rows, g);          \
    REQUIRE(is_dot(&d));                                                                       \
    draw_dot(&d);                                                                              \
    intrt_mve_dot_4x2(d.sums, d.start, d.codes, d.apart, d.row_step, d.weights, d.weight_step, \
                      d.rows, d.groups);                                                       \
    REQUIRE(is_dot(&d));                                                                       \
  }
#define DOTS(g)                    \
  static int dots_##g(void) {      \
    DOT(0, 16 * g, 64 * g, 1, g)   \
    DOT(5, 400, 64 * g, 2, g)      \
    DOT(0, 400, 64 * g + 64, 2, g) \
    DOT(48, 7, 64 * g, 3, g)       \
    DOT(16, 32, 64, g, 1)          \
    return 0;                      \
  }
DOTS(1)
DOTS(2)
DOTS(3)
DOTS(4)
DOTS(5)
DOTS(6)
DOTS(8)
DOTS(9)
DOTS(12)
static int other_dots(void) {
  DOT(16, 64, 192, 3, 3)
  DOT(16, 63, 192, 3, 3)
  DOT(32, 128, 400, 2, 6)
  DOT(64, 256, 768, 3, 12)
  DOT(64, 300, 768, 2, 12)
  DOT(16, 4200 / 2, 192, 2, 3)
  return 0;
}

static int dot_cases(void) {
  static int (*const kDots[])(void) = {dots_1, dots_2, dots_3, dots_4,  dots_5,
                                       dots_6, dots_8, dots_9, dots_12, other_dots};
  return micro_run(kDots, 10, 3);
}

/* The same with weights of 16 bits. */
static void draw_wide_dot(struct dot* dot) {
  const int32_t count = (dot->rows - 1) * dot->weight_step + 64 * dot->groups;
  draw_dot(dot);
  int16_t* const weights = micro_memory(kWeights, 2u * (uint32_t)count);
  for (int32_t i = 0; i < count; ++i)
    weights[i] = (int16_t)(between(0, 3) == 0 ? -20000 : between(-20000, 20000));
  dot->weights = (const int8_t*)weights;
  dot->start = numbers_of(kStart, 4, 1000);
}
static int is_wide_dot(const struct dot* dot) {
  const int16_t* const weights = (const int16_t*)(const void*)dot->weights;
  for (int32_t p = 0; p < 2; ++p)
    for (int32_t c = 0; c < 4; ++c) {
      int32_t sum = dot->start[c];
      for (int32_t r = 0; r < dot->rows; ++r)
        for (int32_t t = 0; t < 16 * dot->groups; ++t)
          sum += dot->codes[dot->apart * p + dot->row_step * r + t] *
                 weights[dot->weight_step * r + 32 * (t / 8) + 8 * c + t % 8];
      if (dot->sums[4 * p + c] != sum) return 0;
    }
  return micro_memory_intact();
}
#define WIDE_WEIGHTS ((const int16_t*)(const void*)d.weights)
#define WIDE_DOT(a, r, w, n, g)                                                               \
  {                                                                                           \
    struct dot d = {a + zero, r + zero, w + zero, n + zero, g + zero, 0, 0, 0, 0};            \
    draw_wide_dot(&d);                                                                        \
    intrt_mve_wide_dot_4x2(d.sums, d.start, d.codes, a, r, WIDE_WEIGHTS, w, n, g);            \
    REQUIRE(is_wide_dot(&d));                                                                 \
    draw_wide_dot(&d);                                                                        \
    intrt_mve_wide_dot_4x2(d.sums, d.start, d.codes, d.apart, r, WIDE_WEIGHTS, w, d.rows, g); \
    REQUIRE(is_wide_dot(&d));                                                                 \
    draw_wide_dot(&d);                                                                        \
    intrt_mve_wide_dot_4x2(d.sums, d.start, d.codes, d.apart, d.row_step, WIDE_WEIGHTS,       \
                           d.weight_step, d.rows, d.groups);                                  \
    REQUIRE(is_wide_dot(&d));                                                                 \
  }
#define WIDE_DOTS(g)                    \
  static int wide_dots_##g(void) {      \
    WIDE_DOT(0, 16 * g, 64 * g, 1, g)   \
    WIDE_DOT(5, 400, 64 * g, 2, g)      \
    WIDE_DOT(0, 400, 64 * g + 64, 2, g) \
    WIDE_DOT(48, 7, 64 * g, 3, g)       \
    WIDE_DOT(16, 32, 64, g, 1)          \
    return 0;                           \
  }
WIDE_DOTS(1)
WIDE_DOTS(2)
WIDE_DOTS(3)
WIDE_DOTS(4)
WIDE_DOTS(5)
WIDE_DOTS(6)
WIDE_DOTS(8)
static int other_wide_dots(void) {
  WIDE_DOT(16, 64, 192, 3, 3)
  WIDE_DOT(32, 128, 400, 2, 6)
  return 0;
}

static int wide_dot_cases(void) {
  static int (*const kDots[])(void) = {wide_dots_1, wide_dots_2, wide_dots_3, wide_dots_4,
                                       wide_dots_5, wide_dots_6, wide_dots_8, other_wide_dots};
  return micro_run(kDots, 8, 3);
}

static int panel_case(int32_t first, int32_t count, const int32_t* begin, const int32_t* end) {
  const int32_t numbers = 32 * ((first + count + 15) / 16);
  int8_t expected[128];
  int8_t* const panel = codes_of(kWritten, numbers, 128);
  const int8_t* codes[2];
  memcpy(expected, panel, (uint32_t)numbers);
  for (int p = 0; p < 2; ++p) {
    codes[p] = codes_of(kCodes0 + p, end[p] - begin[p], 128);
    for (int32_t i = 0; i < count; ++i)
      expected[32 * ((first + i) / 16) + 16 * p + (first + i) % 16] =
          i >= begin[p] && i < end[p] ? codes[p][i - begin[p]] : (int8_t)0;
  }
  intrt_mve_panel(panel, first, count, codes[0], begin[0], end[0], codes[1], begin[1], end[1]);
  REQUIRE(memcmp(panel, expected, (uint32_t)numbers) == 0);
  REQUIRE(micro_memory_intact());
  return 0;
}

static int panel_cases(void) {
  for (int32_t first = 0; first < 18; ++first)
    for (int32_t count = 0; count <= 40; ++count)
      for (int part = 0; part < 3; ++part) {
        int32_t begin[2] = {0, 0}, end[2] = {count, count};
        for (int p = 0; p < 2; ++p)
          if (part > p) {
            begin[p] = between(0, count);
            end[p] = between(begin[p], count);
          }
        const int failed = panel_case(first, count, begin, end);
        if (failed != 0) return failed;
      }
  return 0;
}

static int channels_dot_case(int32_t rows, int32_t columns, int32_t channels) {
  const int32_t row_step = 50, column_step = 16, weight_step = 16 * columns + 3;
  const int32_t taps = rows * columns, most = taps <= 1 ? 127 : 255 / taps;
  const int32_t codes_end = (rows - 1) * row_step + (columns - 1) * column_step + channels;
  const int32_t weights_end = (rows - 1) * weight_step + 16 * columns;
  const int8_t* const codes = codes_of(kCodes0, taps == 0 ? 0 : codes_end, 128);
  const int8_t* const weights = codes_of(kWeights, taps == 0 ? 0 : weights_end, most);
  const int32_t* const start = numbers_of(kStart, 16, 1000000000);
  int32_t* const sums = numbers_of(kWritten, 16, 1000);
  intrt_mve_channels_dot(sums, start, codes, row_step, column_step, weights, weight_step, rows,
                         columns, channels);
  for (int32_t c = 0; c < channels; ++c) {
    int32_t sum = start[place_of(c)];
    for (int32_t r = 0; r < rows; ++r)
      for (int32_t k = 0; k < columns; ++k)
        sum += codes[row_step * r + column_step * k + c] * weights[weight_step * r + 16 * k + c];
    REQUIRE(sums[place_of(c)] == sum);
  }
  REQUIRE(micro_memory_intact());
  return 0;
}

static int channels_dot_cases(void) {
  for (int32_t rows = 0; rows <= 5; ++rows)
    for (int32_t columns = 0; columns <= 5; ++columns)
      for (int32_t channels = 1; channels <= 16; ++channels) {
        const int failed = channels_dot_case(rows, columns, channels);
        if (failed != 0) return failed;
      }
  return 0;
}

/* ---- what becomes of sums */

static int64_t rounded_down(int64_t x, int32_t multiplier, int32_t addend) {
  const int64_t product = x * multiplier;
  return (product - (int64_t)((uint64_t)product & 0xffffffffu)) / ((int64_t)1 << 32) + addend;
}
static int64_t toward_zero(int32_t x, const int32_t* constants, int32_t step) {
  const int64_t down = rounded_down(x, constants[0], constants[step]);
  const int64_t up =
      rounded_down((int64_t)x + constants[2 * step], constants[0], constants[3 * step]);
  return down >= 0 ? down : up < 0 ? (up > down ? up : down) : 0;
}

static int store_case(int32_t lo, int32_t hi, int32_t apart, int32_t channels, int kind) {
  static const int32_t kMost[3] = {(1 << 30) - 1, 1000, 1000000};
  const int32_t* const sums = numbers_of(kStart, 16, kMost[kind]);
  int32_t* const constants = numbers_of(kWeights, 64, 1 << 28);
  for (int32_t i = 0; i < 64; ++i) /* codes of any size, and far more */
    if (kind != 0 && i >= 16) constants[i] /= 1 << 20;
  int8_t* out = codes_of(kWritten, apart + 4, 128);
  intrt_mve_store_4x2(out, apart, sums, constants, lo, hi);
  for (int32_t i = 0; i < 8; ++i)
    REQUIRE(out[apart * (i / 4) + i % 4] ==
            clamped(rounded_down(sums[apart == 0 ? i % 4 + 4 : i], constants[i % 4],
                                 constants[4 + i % 4]),
                    lo, hi));
  intrt_mve_store_toward_zero_4x2(out, apart, sums, constants, lo, hi);
  for (int32_t i = 0; i < 8; ++i)
    REQUIRE(out[apart * (i / 4) + i % 4] ==
            clamped(toward_zero(sums[apart == 0 ? i % 4 + 4 : i], constants + i % 4, 4), lo, hi));
  REQUIRE(micro_memory_intact());

  out = codes_of(kWritten, channels, 128);
  intrt_mve_channels_store(out, sums, constants, lo, hi, channels);
  for (int32_t c = 0; c < channels; ++c)
    REQUIRE(out[c] == clamped(rounded_down(sums[place_of(c)], constants[place_of(c)],
                                           constants[16 + place_of(c)]),
                              lo, hi));
  intrt_mve_channels_store_toward_zero(out, sums, constants, lo, hi, channels);
  for (int32_t c = 0; c < channels; ++c)
    REQUIRE(out[c] == clamped(toward_zero(sums[place_of(c)], constants + place_of(c), 16), lo, hi));
  REQUIRE(micro_memory_intact());
  return 0;
}

static int store_cases(void) {
  static const int32_t kLimits[4][2] = {{-128, 127}, {0, 127}, {-32, 31}, {-128, -128}};
  for (int kind = 0; kind < 3; ++kind)
    for (int32_t limits = 0; limits < 4; ++limits)
      for (int32_t channels = 1; channels <= 16; ++channels)
        for (int32_t apart = 0; apart <= 36; apart += 12) {
          const int failed =
              store_case(kLimits[limits][0], kLimits[limits][1], apart, channels, kind);
          if (failed != 0) return failed;
        }
  return 0;
}

static int keep_cases(void) {
  for (int32_t count = 0; count <= 70; ++count) {
    int8_t expected[80];
    int8_t* const out = codes_of(kWritten, count, 128);
    const uint8_t* const mask = (const uint8_t*)codes_of(kCodes0, (count + 7) / 8, 128);
    for (int32_t i = 0; i < count; ++i)
      expected[i] = (int8_t)(mask[i / 8] >> i % 8 & 1 ? out[i] : 0);
    intrt_mve_keep(out, mask, count);
    REQUIRE(memcmp(out, expected, (uint32_t)count) == 0);
    REQUIRE(micro_memory_intact());
  }
  return 0;
}

static int add_case(int32_t count, int32_t multiplier0, int32_t multiplier1, int32_t shift,
                    int32_t rounding, int32_t lo, int in_place) {
  int8_t expected[64];
  int8_t* const out = codes_of(kWritten, count, 128);
  const int8_t* const a = in_place == 1 ? out : codes_of(kCodes0, count, 128);
  const int8_t* const b = in_place == 2 ? out : codes_of(kCodes1, count, 128);
  for (int32_t i = 0; i < count; ++i) {
    const int32_t sum = multiplier0 * a[i] + multiplier1 * b[i], unit = 1 << shift;
    const int32_t rest = ((sum % unit) + unit) % unit;
    const int32_t quotient = rounding == INTRT_ROUND_TOWARD_ZERO ? sum / unit : (sum - rest) / unit;
    expected[i] = (int8_t)clamped(quotient, lo, 127);
  }
  intrt_mve_add(out, a, b, count, multiplier0, multiplier1, shift, rounding, lo, 127);
  REQUIRE(memcmp(out, expected, (uint32_t)count) == 0);
  REQUIRE(micro_memory_intact());
  return 0;
}

static int add_cases(void) {
  static const int32_t kMultipliers[4][2] = {{1, 1}, {1, 2}, {64, 1}, {-3, 100}};
  for (int32_t count = 0; count <= 40; ++count)
    for (int32_t shift = 0; shift <= 14; ++shift)
      for (int way = 0; way < 48; ++way) {
        const int32_t* const multipliers = kMultipliers[way % 4];
        if (shift == 14 && multipliers[0] * multipliers[0] > 4) continue; /* of 16 bits no more */
        const int failed = add_case(count, multipliers[0], multipliers[1], shift,
                                    way / 4 % 2 == 0 ? INTRT_ROUND_TOWARD_ZERO : INTRT_ROUND_FLOOR,
                                    way / 8 % 2 == 0 ? -128 : 0, way / 16);
        if (failed != 0) return failed;
      }
  return 0;
}

int micro_mve_cases(void) {
  int failed = dot_cases();
  if (failed == 0) failed = wide_dot_cases();
  if (failed == 0) failed = panel_cases();
  if (failed == 0) failed = channels_dot_cases();
  if (failed == 0) failed = store_cases();
  if (failed == 0) failed = keep_cases();
  if (failed == 0) failed = add_cases();
  return failed;
}

int micro_has_mve(void) { return INTRT_HAS_MVE; }
