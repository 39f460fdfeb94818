/* Asks the network whether it computes on this core what it should, then runs it once. Texts go to
 * the emulator or the debugger (semihosting). This file is yours: Lockstep never overwrites it. */
#include <string.h>

#include "net_io.h"
#include "semihosting.h"

NET_ARENA(arena);

/* In the order height, width, channel. */
static float input[NET_INPUT0_ELEMENTS], output[NET_OUTPUT0_ELEMENTS];

static void print(const char* text) { semihosting(SYS_WRITE0, text); }

static void print_number(uint32_t number) {
  char digits[11];
  uint32_t at = sizeof digits;
  digits[--at] = '\0';
  do {
    digits[--at] = (char)('0' + number % 10u);
    number /= 10u;
  } while (number != 0u);
  print(&digits[at]);
}

static uint32_t largest(const float* values, uint32_t count) {
  uint32_t i, best = 0;
  for (i = 1; i < count; ++i)
    if (values[i] > values[best]) best = i;
  return best;
}

int main(void) {
  const int failed = net_selftest(arena);
  print(failed == 0 ? "self test passed\n" : "self test FAILED\n");

  memset(arena, 0, sizeof arena); /* inputs that nobody sets are 0 */
  net_set_input(arena, 0, input); /* put your samples into `input` */
  net_run(arena);
  net_get_output(arena, 0, output);
  print("largest output: number ");
  print_number(largest(output, NET_OUTPUT0_ELEMENTS));
  print("\n");
  return failed != 0;
}
