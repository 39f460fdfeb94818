/* Runs the known-answer test that belongs to the generated network; see harness.h. */
#include "harness.h"

#include HARNESS_HEADER

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define NET(name) JOIN(HARNESS_PREFIX, name)
#define NET_UPPER(name) JOIN(HARNESS_PREFIX_UPPER, name)

static uint8_t arena[NET_UPPER(_ARENA_BYTES)] __attribute__((aligned(16)));

/* The network may have been compiled to report its tensors; nobody asks for them here. */
void harness_observe(uint32_t tensor, void* data) {
  (void)tensor;
  (void)data;
}

int harness_main(void) {
  uint32_t result;
  uint8_t bytes[4];
  if (!harness_open()) return HARNESS_IO_FAILED;
  result = (uint32_t)NET(_selftest)(arena);
  bytes[0] = (uint8_t)result;
  bytes[1] = (uint8_t)(result >> 8);
  bytes[2] = (uint8_t)(result >> 16);
  bytes[3] = (uint8_t)(result >> 24);
  if (!harness_write(bytes, 4u) || !harness_close()) return HARNESS_IO_FAILED;
  return HARNESS_OK;
}
