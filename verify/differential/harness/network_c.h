/* The network that harness.c runs: generated C. */
#ifndef HARNESS_NETWORK_C_H_
#define HARNESS_NETWORK_C_H_

#include "harness.h"

#include HARNESS_HEADER

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define NET(name) JOIN(HARNESS_PREFIX, name)
#define NET_UPPER(name) JOIN(HARNESS_PREFIX_UPPER, name)

#define NETWORK_ARENA_BYTES NET_UPPER(_ARENA_BYTES)

typedef NET(_tensor) network_tensor;

/* Whether network_open has to be called before all else. */
#define NETWORK_OPENS 0
/* Whether the last call succeeded: an exit code. */
static int network_result(void) { return HARNESS_OK; }

#define network_run NET(_run)

static uint32_t network_arena_bytes(void) { return (uint32_t)NETWORK_ARENA_BYTES; }
static uint32_t network_tensor_count(void) { return NET_UPPER(_TENSOR_COUNT); }
static uint32_t network_input_count(void) { return NET_UPPER(_INPUT_COUNT); }
static uint32_t network_output_count(void) { return NET_UPPER(_OUTPUT_COUNT); }
static uint32_t network_input(uint32_t i) { return NET(_inputs)[i]; }
static uint32_t network_output(uint32_t i) { return NET(_outputs)[i]; }
static network_tensor network_tensor_at(uint32_t tensor) { return NET(_tensors)[tensor]; }
/* Where it begins in the arena. */
static uint32_t network_offset(uint32_t tensor, uint8_t* arena) {
  (void)arena;
  return NET(_tensors)[tensor].arena_offset;
}

#endif
