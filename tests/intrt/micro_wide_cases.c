/* The micro-kernels of intrt/micro/wide.h. */
#include <string.h>

#include "intrt/arith.h"
#include "intrt/micro/wide.h"
#include "micro_cases.h"

/* Which of a case's arrays micro_memory is asked for. */
enum { kWritten, kCodes0, kCodes1, kWeights, kStart };

#define REQUIRE(holds) \
  if (!(holds)) return __LINE__

static uint64_t random_state = 4;
static int32_t between(int32_t lo, int32_t hi) {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return lo + (int32_t)((random_state >> 33) % (uint32_t)(hi - lo + 1));
}
static int8_t* codes_of(int array, int32_t count) {
  int8_t* const codes = micro_memory(array, (uint32_t)count);
  for (int32_t i = 0; i < count; ++i)
    codes[i] = (int8_t)(between(0, 3) == 0 ? -128 : between(-128, 127));
  return codes;
}

struct dot {
  int32_t apart, row_step, rows, taps;
  int32_t* start;
  const int8_t* codes;
  int16_t* weights;
  int32_t* sums;
};

static void draw_dot(struct dot* dot) {
  const int32_t end = dot->rows == 0 ? 0 : (dot->rows - 1) * dot->row_step + dot->taps;
  const int32_t weights = 4 * dot->rows * dot->taps;
  dot->start = micro_memory(kStart, 16);
  for (int i = 0; i < 4; ++i) dot->start[i] = between(-1000, 1000);
  dot->codes = codes_of(kCodes0, end == 0 ? 0 : dot->apart + end);
  dot->weights = micro_memory(kWeights, 2u * (uint32_t)weights);
  for (int32_t i = 0; i < weights; ++i)
    dot->weights[i] = (int16_t)(between(0, 3) == 0 ? -32768 : between(-32768, 32767));
  dot->sums = micro_memory(kWritten, 32);
}
static int is_dot(const struct dot* dot) {
  for (int32_t p = 0; p < 2; ++p)
    for (int32_t c = 0; c < 4; ++c) {
      int32_t sum = dot->start[c];
      for (int32_t r = 0; r < dot->rows; ++r)
        for (int32_t t = 0; t < dot->taps; ++t)
          sum += dot->codes[dot->apart * p + dot->row_step * r + t] *
                 dot->weights[4 * (dot->taps * r + t) + c];
      if (dot->sums[2 * c + p] != sum) return 0;
    }
  return micro_memory_intact();
}

/* With numbers that the compiler knows, and with some that it does not. */
static volatile int32_t zero;
#define DOT(a, r, n, t)                                                                           \
  {                                                                                               \
    struct dot d = {a + zero, r + zero, n + zero, t + zero, 0, 0, 0, 0};                          \
    draw_dot(&d);                                                                                 \
    intrt_wide_dot_4x2(d.sums, d.start, d.codes, a, r, d.weights, d.rows, t);                     \
    REQUIRE(is_dot(&d));                                                                          \
    draw_dot(&d);                                                                                 \
    intrt_wide_dot_4x2(d.sums, d.start, d.codes, a, d.row_step, d.weights, d.rows, d.taps);       \
    REQUIRE(is_dot(&d));                                                                          \
    draw_dot(&d);                                                                                 \
    intrt_wide_dot_4x2(d.sums, d.start, d.codes, d.apart, d.row_step, d.weights, d.rows, d.taps); \
    REQUIRE(is_dot(&d));                                                                          \
  }
/* A function for each number of taps: compilers take long for one of all. */
#define DOTS(t)               \
  static int dots_##t(void) { \
    DOT(0, 7, 0, t)           \
    DOT(0, 0, 1, t)           \
    DOT(3, 11, 3, t)          \
    DOT(16, 100, 2, t)        \
    return 0;                 \
  }
DOTS(1)
DOTS(2)
DOTS(3)
DOTS(4)
DOTS(7)
DOTS(8)
DOTS(12)
DOTS(17)
DOTS(31)
DOTS(48)

static int dot_cases(void) {
  static int (*const kDots[])(void) = {dots_1, dots_2,  dots_3,  dots_4,  dots_7,
                                       dots_8, dots_12, dots_17, dots_31, dots_48};
  return micro_run(kDots, 10, 3);
}

static int row_cases(void) {
  for (int32_t count = 0; count <= 30; ++count)
    for (int part = 0; part < 12; ++part) {
      const int32_t begin = part % 3 == 0 ? 0 : between(0, part % 3 == 1 ? 5 : count + 4);
      const int32_t end = part % 2 == 0 ? count : between(-3, count + 9);
      const int32_t last = end < count ? end : count;
      int8_t expected[80];
      int8_t* const to = codes_of(kWritten, count);
      const int8_t* const codes = codes_of(kCodes0, last > begin ? last - begin : 0);
      for (int32_t i = 0; i < count; ++i)
        expected[i] = i >= begin && i < end ? codes[i - begin] : (int8_t)0;
      intrt_wide_row(to, count, codes, begin, end);
      REQUIRE(memcmp(to, expected, (uint32_t)count) == 0);
      REQUIRE(micro_memory_intact());
    }
  return 0;
}

int micro_wide_cases(void) {
  const int failed = dot_cases();
  return failed == 0 ? row_cases() : failed;
}

int micro_has_wide(void) { return INTRT_HAS_WIDE; }
