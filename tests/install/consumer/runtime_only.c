/* The runtime alone, from C: bytes that are no plan are refused. */
#include <intrt/intrt.h>
#include <stdio.h>

int main(void) {
  static const union {
    uint8_t bytes[64];
    uint64_t align[8];
  } not_a_plan = {{1, 2, 3}};
  intrt_plan plan;
  intrt_status status = intrt_open(&plan, not_a_plan.bytes, sizeof not_a_plan.bytes, 0);
  printf("%s\n", intrt_status_text(status));
  return status == INTRT_OK;
}
