/* The network that harness.c runs: a plan in flash, read there by the runtime. */
#ifndef HARNESS_NETWORK_PLAN_H_
#define HARNESS_NETWORK_PLAN_H_

#include "harness.h"
#include "intrt/kernels.h"
#include "observe.h"

#define NETWORK_ARENA_BYTES HARNESS_ARENA_BYTES

/* plan.S */
extern const uint8_t harness_plan[];
extern const uint8_t harness_plan_end[];

static const intrt_kernel* const network_kernels[] = {HARNESS_KERNELS, 0};
static intrt_plan network_plan;
static intrt_status network_status;

typedef struct {
  const char* name;
  uint32_t type, bits, logical_rank, channels, height, width, decimal_count, flags;
  const int8_t* decimals;
  const float* offsets;
  const uint16_t* channel_map;
} network_tensor;

static int network_result(void) {
  return network_status == INTRT_OK ? HARNESS_OK : HARNESS_RUNTIME_FAILED + (int)network_status;
}

#define NETWORK_OPENS 1
static void network_open(void* unused) {
  (void)unused;
  network_status = intrt_open_with(&network_plan, harness_plan,
                                   (size_t)(harness_plan_end - harness_plan), network_kernels, 0);
}

#ifdef LOCKSTEP_OBSERVE
static void network_observe(void* context, uint32_t tensor, const void* data) {
  (void)context;
  LOCKSTEP_OBSERVE(tensor, (void*)(uintptr_t)data);
}
static const intrt_run_options network_options = {0, network_observe, 0, 0};
#define NETWORK_OPTIONS &network_options
#else
#define NETWORK_OPTIONS 0
#endif

static void network_run(void* arena) {
  network_status = intrt_run(&network_plan, arena, NETWORK_ARENA_BYTES, NETWORK_OPTIONS);
}

static uint32_t network_arena_bytes(void) { return intrt_arena_bytes(&network_plan); }
static uint32_t network_tensor_count(void) { return intrt_tensor_count(&network_plan); }
static uint32_t network_input_count(void) { return intrt_input_count(&network_plan); }
static uint32_t network_output_count(void) { return intrt_output_count(&network_plan); }
static uint32_t network_input(uint32_t i) { return intrt_input(&network_plan, i); }
static uint32_t network_output(uint32_t i) { return intrt_output(&network_plan, i); }

static network_tensor network_tensor_at(uint32_t tensor) {
  const intrt_tensor info = intrt_tensor_info(&network_plan, tensor);
  network_tensor result;
  result.name = info.name;
  result.type = info.type;
  result.bits = info.bits;
  result.logical_rank = info.logical_rank;
  result.channels = info.channels;
  result.height = info.height;
  result.width = info.width;
  result.decimal_count = info.decimal_count == 1u ? 1u : 0u; /* 0: one for each channel */
  result.flags = info.flags;
  result.decimals = info.decimals;
  result.offsets = info.offsets;
  result.channel_map = info.channel_map;
  return result;
}

static uint32_t network_offset(uint32_t tensor, uint8_t* arena) {
  return (uint32_t)((uint8_t*)intrt_tensor_data(&network_plan, arena, tensor) - arena);
}

#endif
