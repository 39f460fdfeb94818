/* The micro-kernels of intrt/micro/neon.h. */
#include <string.h>

#include "intrt/arith.h"
#include "intrt/micro/neon.h"
#include "micro_cases.h"

/* Which of a case's arrays micro_memory is asked for. */
enum { kWritten, kCodes0, kCodes1, kWeights, kStart };

#define REQUIRE(holds) \
  if (!(holds)) return __LINE__

static uint64_t random_state = 3;
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

/* ---- sums of products */

struct dot {
  int32_t apart, row_step, rows, units;
  const int32_t* start;
  const int8_t *codes, *weights;
  int32_t* sums;
};

static void draw_dot(struct dot* dot, int32_t positions) {
  const int32_t end = dot->rows == 0 ? 0 : (dot->rows - 1) * dot->row_step + 4 * dot->units;
  dot->start = numbers_of(kStart, 4, 1000000000);
  dot->codes = codes_of(kCodes0, end == 0 ? 0 : dot->apart * (positions - 1) + end, 128);
  dot->weights = codes_of(kWeights, dot->rows * 16 * dot->units, 128);
  dot->sums = numbers_of(kWritten, 4 * positions, 1000);
}
static int is_dot(const struct dot* dot, int32_t positions) {
  for (int32_t p = 0; p < positions; ++p)
    for (int32_t c = 0; c < 4; ++c) {
      int32_t sum = dot->start[c];
      for (int32_t r = 0; r < dot->rows; ++r)
        for (int32_t t = 0; t < 4 * dot->units; ++t)
          sum += dot->codes[dot->apart * p + dot->row_step * r + t] *
                 dot->weights[16 * dot->units * r + 16 * (t / 4) + 4 * c + t % 4];
      if (dot->sums[4 * p + c] != sum) return 0;
    }
  return micro_memory_intact();
}

/* With numbers that the compiler knows, and with some that it does not. */
static volatile int32_t zero;
#define DOT(a, r, n, u, p)                                                                        \
  {                                                                                               \
    struct dot d = {a + zero, r + zero, n + zero, u + zero, 0, 0, 0, 0};                          \
    draw_dot(&d, p);                                                                              \
    intrt_neon_dot(d.sums, d.start, d.codes, a, r, d.weights, n, u, p);                           \
    REQUIRE(is_dot(&d, p));                                                                       \
    draw_dot(&d, p);                                                                              \
    intrt_neon_dot(d.sums, d.start, d.codes, d.apart, d.row_step, d.weights, d.rows, d.units, p); \
    REQUIRE(is_dot(&d, p));                                                                       \
  }
#define DOTS(p)               \
  static int dots_##p(void) { \
    DOT(3, 11, 0, 1, p)       \
    DOT(0, 0, 1, 1, p)        \
    DOT(1, 7, 3, 2, p)        \
    DOT(5, 40, 2, 3, p)       \
    DOT(16, 160, 3, 12, p)    \
    DOT(20, 64, 2, 5, p)      \
    DOT(7, 100, 1, 4, p)      \
    DOT(32, 31, 2, 7, p)      \
    DOT(64, 0, 1, 16, p)      \
    return 0;                 \
  }
DOTS(1)
DOTS(2)
DOTS(3)
DOTS(4)
DOTS(5)
DOTS(6)
DOTS(7)
DOTS(8)

static int dot_cases(void) {
  static int (*const kDots[])(void) = {dots_1, dots_2, dots_3, dots_4,
                                       dots_5, dots_6, dots_7, dots_8};
  return micro_run(kDots, 8, 3);
}

/* The same with weights of 16 bits in two bytes each. */
static void draw_wide_dot(struct dot* dot, int32_t positions) {
  draw_dot(dot, positions);
  dot->start = numbers_of(kStart, 4, 1000);
  dot->weights = codes_of(kWeights, dot->rows * 32 * dot->units, 128);
}
static int is_wide_dot(const struct dot* dot, int32_t positions) {
  for (int32_t p = 0; p < positions; ++p)
    for (int32_t c = 0; c < 4; ++c) {
      int32_t sum = dot->start[c];
      for (int32_t r = 0; r < dot->rows; ++r)
        for (int32_t t = 0; t < 4 * dot->units; ++t) {
          const int8_t* const weight =
              dot->weights + 32 * dot->units * r + 32 * (t / 4) + 4 * c + t % 4;
          sum +=
              dot->codes[dot->apart * p + dot->row_step * r + t] * (weight[0] + 256 * weight[16]);
        }
      if (dot->sums[4 * p + c] != sum) return 0;
    }
  return micro_memory_intact();
}
#define WIDE_DOT(a, r, n, u, p)                                                                    \
  {                                                                                                \
    struct dot d = {a + zero, r + zero, n + zero, u + zero, 0, 0, 0, 0};                           \
    draw_wide_dot(&d, p);                                                                          \
    intrt_neon_wide_dot(d.sums, d.start, d.codes, a, r, d.weights, n, u, p);                       \
    REQUIRE(is_wide_dot(&d, p));                                                                   \
    draw_wide_dot(&d, p);                                                                          \
    intrt_neon_wide_dot(d.sums, d.start, d.codes, d.apart, d.row_step, d.weights, d.rows, d.units, \
                        p);                                                                        \
    REQUIRE(is_wide_dot(&d, p));                                                                   \
  }
#define WIDE_DOTS(p)               \
  static int wide_dots_##p(void) { \
    WIDE_DOT(3, 11, 0, 1, p)       \
    WIDE_DOT(0, 0, 1, 1, p)        \
    WIDE_DOT(1, 7, 3, 2, p)        \
    WIDE_DOT(5, 40, 2, 3, p)       \
    WIDE_DOT(16, 160, 3, 12, p)    \
    WIDE_DOT(20, 64, 2, 5, p)      \
    return 0;                      \
  }
WIDE_DOTS(1)
WIDE_DOTS(2)
WIDE_DOTS(3)
WIDE_DOTS(4)
WIDE_DOTS(5)
WIDE_DOTS(6)
WIDE_DOTS(7)
WIDE_DOTS(8)

static int wide_dot_cases(void) {
  static int (*const kDots[])(void) = {wide_dots_1, wide_dots_2, wide_dots_3, wide_dots_4,
                                       wide_dots_5, wide_dots_6, wide_dots_7, wide_dots_8};
  return micro_run(kDots, 8, 1);
}

static int row_case(int32_t count, int32_t begin, int32_t end) {
  int8_t expected[80];
  int8_t* const to = codes_of(kWritten, count, 128);
  const int32_t last = end < count ? end : count;
  const int8_t* const codes = codes_of(kCodes0, last > begin ? last - begin : 0, 128);
  for (int32_t i = 0; i < count; ++i)
    expected[i] = i >= begin && i < end ? codes[i - begin] : (int8_t)0;
  intrt_neon_row(to, count, codes, begin, end);
  REQUIRE(memcmp(to, expected, (uint32_t)count) == 0);
  REQUIRE(micro_memory_intact());
  return 0;
}

static int row_cases(void) {
  for (int32_t count = 0; count <= 70; ++count)
    for (int part = 0; part < 12; ++part) {
      const int32_t begin = part % 3 == 0 ? 0 : between(0, part % 3 == 1 ? 5 : count + 4);
      const int32_t end = part % 2 == 0 ? count : between(-3, count + 9);
      const int failed = row_case(count, begin, end);
      if (failed != 0) return failed;
    }
  return 0;
}

static int channels_dot_case(int32_t rows, int32_t columns, int32_t channels, int in_place) {
  const int32_t row_step = 50, column_step = 16, weight_step = 16 * columns + 3;
  const int32_t taps = rows * columns, most = taps <= 1 ? 127 : 255 / taps;
  const int32_t codes_end = (rows - 1) * row_step + (columns - 1) * column_step + channels;
  const int32_t weights_end = (rows - 1) * weight_step + 16 * columns;
  const int8_t* const codes = codes_of(kCodes0, taps == 0 ? 0 : codes_end, 128);
  const int8_t* const weights = codes_of(kWeights, taps == 0 ? 0 : weights_end, most);
  const int32_t* const start = numbers_of(kStart, 16, 1000000000);
  int32_t* const sums = numbers_of(kWritten, 16, 1000);
  if (in_place) memcpy(sums, start, 64);
  intrt_neon_channels_dot(sums, in_place ? sums : start, codes, row_step, column_step, weights,
                          weight_step, rows, columns, channels);
  for (int32_t c = 0; c < channels; ++c) {
    int32_t sum = start[c];
    for (int32_t r = 0; r < rows; ++r)
      for (int32_t k = 0; k < columns; ++k)
        sum += codes[row_step * r + column_step * k + c] * weights[weight_step * r + 16 * k + c];
    REQUIRE(sums[c] == sum);
  }
  REQUIRE(micro_memory_intact());
  return 0;
}

static int channels_dot_cases(void) {
  for (int32_t rows = 0; rows <= 5; ++rows)
    for (int32_t columns = 0; columns <= 5; ++columns)
      for (int32_t channels = 1; channels <= 16; ++channels) {
        const int failed = channels_dot_case(rows, columns, channels, (rows + channels) % 2);
        if (failed != 0) return failed;
      }
  return channels_dot_case(3, 3, 16, 0) + channels_dot_case(3, 3, 8, 1); /* known numbers */
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

/* Sums and constants of three kinds: of any size; of codes of any size; and far more. */
static int32_t* draw_constants(int kind) {
  int32_t* const constants = numbers_of(kWeights, 64, 1 << 28);
  for (int32_t i = 0; i < 64; ++i)
    if (kind != 0 && i >= 16) constants[i] /= 1 << 20;
  return constants;
}
static int is_stored(const int8_t* out, int32_t apart, const int32_t* sums,
                     const int32_t* constants, int32_t lo, int32_t hi, int32_t positions,
                     int to_zero) {
  for (int32_t p = 0; p < positions; ++p)
    for (int32_t c = 0; c < 4; ++c) {
      const int32_t sum = sums[4 * (apart == 0 ? positions - 1 : p) + c];
      const int64_t value = to_zero ? toward_zero(sum, constants + c, 4)
                                    : rounded_down(sum, constants[c], constants[4 + c]);
      if (out[apart * p + c] != clamped(value, lo, hi)) return 0;
    }
  return micro_memory_intact();
}

static const int32_t kMost[3] = {(1 << 30) - 1, 1000, 1000000};
#define STORE(p)                                                          \
  {                                                                       \
    const int32_t* const sums = numbers_of(kStart, 4 * p, kMost[kind]);   \
    const int32_t* const constants = draw_constants(kind);                \
    int8_t* const out = codes_of(kWritten, apart * (p - 1) + 4, 128);     \
    intrt_neon_store(out, apart, sums, constants, lo, hi, p);             \
    REQUIRE(is_stored(out, apart, sums, constants, lo, hi, p, 0));        \
    intrt_neon_store_toward_zero(out, apart, sums, constants, lo, hi, p); \
    REQUIRE(is_stored(out, apart, sums, constants, lo, hi, p, 1));        \
  }

static int store_case(int32_t lo, int32_t hi, int32_t apart, int32_t channels, int kind) {
  STORE(1)
  STORE(2)
  STORE(3)
  STORE(4)
  STORE(5)
  STORE(6)
  STORE(7)
  STORE(8)
  const int32_t* const sums = numbers_of(kStart, 16, kMost[kind]);
  const int32_t* const constants = draw_constants(kind);
  int8_t* const out = codes_of(kWritten, channels, 128);
  intrt_neon_channels_store(out, sums, constants, lo, hi, channels);
  for (int32_t c = 0; c < channels; ++c)
    REQUIRE(out[c] == clamped(rounded_down(sums[c], constants[c], constants[16 + c]), lo, hi));
  intrt_neon_channels_store_toward_zero(out, sums, constants, lo, hi, channels);
  for (int32_t c = 0; c < channels; ++c)
    REQUIRE(out[c] == clamped(toward_zero(sums[c], constants + c, 16), lo, hi));
  REQUIRE(micro_memory_intact());
  return 0;
}

/* Products at their ends: sums of -2^31, multipliers of all but that. */
static int store_ends(void) {
  int32_t* const sums = micro_memory(kStart, 16);
  int32_t* const constants = micro_memory(kWeights, 32);
  int8_t* const out = codes_of(kWritten, 4, 128);
  static const int32_t kEnds[4] = {INT32_MIN, INT32_MAX, -1, 1};
  for (int i = 0; i < 4; ++i)
    for (int k = 0; k < 4; ++k) {
      for (int32_t c = 0; c < 4; ++c) {
        sums[c] = kEnds[(i + c) % 4];
        constants[c] = kEnds[k] == INT32_MIN ? -INT32_MAX : kEnds[k];
        constants[4 + c] = -(int32_t)rounded_down(sums[c], constants[c], 0) + c;
      }
      intrt_neon_store(out, 4, sums, constants, -128, 127, 1);
      for (int32_t c = 0; c < 4; ++c) REQUIRE(out[c] == c);
    }
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
  return store_ends();
}

static int keep_cases(void) {
  for (int32_t count = 0; count <= 70; ++count) {
    int8_t expected[80];
    int8_t* const out = codes_of(kWritten, count, 128);
    const uint8_t* const mask = (const uint8_t*)codes_of(kCodes0, (count + 7) / 8, 128);
    for (int32_t i = 0; i < count; ++i)
      expected[i] = (int8_t)(mask[i / 8] >> i % 8 & 1 ? out[i] : 0);
    intrt_neon_keep(out, mask, count);
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
  intrt_neon_add(out, a, b, count, multiplier0, multiplier1, shift, rounding, lo, 127);
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

int micro_neon_cases(void) {
  int failed = dot_cases();
  if (failed == 0) failed = wide_dot_cases();
  if (failed == 0) failed = row_cases();
  if (failed == 0) failed = channels_dot_cases();
  if (failed == 0) failed = store_cases();
  if (failed == 0) failed = keep_cases();
  if (failed == 0) failed = add_cases();
  return failed;
}

int micro_has_neon(void) { return INTRT_HAS_NEON; }
