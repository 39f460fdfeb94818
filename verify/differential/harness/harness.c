/* Runs the network on every sample of the input and writes what it sees; see harness.h. */
#include "harness.h"

#include HARNESS_NETWORK

#define GUARD_BYTES 64u
#define GUARD_VALUE 0xA5u

/* The arena between two guards: a network that writes outside its arena is found out. */
static struct {
  uint8_t before[GUARD_BYTES];
  uint8_t bytes[NETWORK_ARENA_BYTES];
  uint8_t after[GUARD_BYTES];
} arena __attribute__((aligned(16)));

#if HARNESS_MEASURED
/* The network's own stack. Before each call it is filled with words that are different each, so
 * that what the call has left of them shows how far down it went. */
#define STACK_WORDS 16384u
#define STACK_LEAST_WORDS 1024u /* a call that leaves fewer is taken for an overflow */
static uint32_t stack[STACK_WORDS] __attribute__((aligned(16)));
static uint32_t stack_bytes; /* the most that a call took */

static uint32_t untouched_word(uint32_t index) { return 0x5A3C0000u + index; }

static int call_network(void (*function)(void*)) {
  uint32_t i;
  for (i = 0; i < STACK_WORDS; ++i) stack[i] = untouched_word(i);
  harness_measured_call(function, arena.bytes, stack + STACK_WORDS);
  for (i = 0; i < STACK_WORDS && stack[i] == untouched_word(i);) ++i;
  if ((STACK_WORDS - i) * 4u > stack_bytes) stack_bytes = (STACK_WORDS - i) * 4u;
  return i >= STACK_LEAST_WORDS;
}
#else
static const uint32_t stack_bytes = 0;

static int call_network(void (*function)(void*)) {
  function(arena.bytes);
  return 1;
}
#endif

static int failed;

static void put(const void* data, uint32_t bytes) {
  if (!failed && !harness_write(data, bytes)) failed = 1;
}

static void put_u32(uint32_t value) {
  uint8_t bytes[4];
  bytes[0] = (uint8_t)value;
  bytes[1] = (uint8_t)(value >> 8);
  bytes[2] = (uint8_t)(value >> 16);
  bytes[3] = (uint8_t)(value >> 24);
  put(bytes, 4u);
}

static int get_u32(uint32_t* value) {
  uint8_t bytes[4];
  if (!harness_read(bytes, 4u)) return 0;
  *value = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
  return 1;
}

static uint32_t tensor_bytes(uint32_t tensor) {
  const network_tensor info = network_tensor_at(tensor);
  const uint32_t element_bytes = info.type == 3u ? 4u : info.type == 2u ? 2u : 1u;
  return info.channels * info.height * info.width * element_bytes;
}

static void put_tensor_info(uint32_t tensor) {
  const network_tensor info = network_tensor_at(tensor);
  uint32_t length = 0;
  while (info.name[length] != '\0') ++length;
  put_u32(length);
  put(info.name, length);
  put_u32(info.type);
  put_u32(info.bits);
  put_u32(info.logical_rank);
  put_u32(info.channels);
  put_u32(info.height);
  put_u32(info.width);
  put_u32(info.decimal_count);
  put_u32(network_offset(tensor, arena.bytes));
  put_u32(info.flags);
  put(info.decimals, info.decimal_count == 1u ? 1u : info.channels);
  put_u32(info.offsets != 0 ? info.channels : 0u);
  if (info.offsets != 0) put(info.offsets, info.channels * 4u);
  put_u32(info.channel_map != 0 ? info.channels : 0u);
  if (info.channel_map != 0) put(info.channel_map, info.channels * 2u);
}

static void put_header(uint32_t samples) {
  uint32_t i;
  put("LKSTREAM", 8u);
  put_u32(5u);
  put_u32(samples);
  put_u32(network_arena_bytes());
  put_u32(network_tensor_count());
  put_u32(network_input_count());
  put_u32(network_output_count());
  for (i = 0; i < network_input_count(); ++i) put_u32(network_input(i));
  for (i = 0; i < network_output_count(); ++i) put_u32(network_output(i));
  for (i = 0; i < network_tensor_count(); ++i) put_tensor_info(i);
}

void harness_observe(uint32_t tensor, void* data) {
  put_u32(tensor);
  put_u32(tensor_bytes(tensor));
  put(data, tensor_bytes(tensor));
#if HARNESS_PROBE
  {
    uint32_t next;
    if (!get_u32(&next) || next != tensor || !harness_read(data, tensor_bytes(tensor))) failed = 1;
  }
#endif
}

static int guards_intact(void) {
  uint32_t i;
  for (i = 0; i < GUARD_BYTES; ++i)
    if (arena.before[i] != GUARD_VALUE || arena.after[i] != GUARD_VALUE) return 0;
  return 1;
}

static int read_inputs(void) {
  uint32_t i;
  for (i = 0; i < network_input_count(); ++i) {
    const uint32_t tensor = network_input(i);
    if (!harness_read(arena.bytes + network_offset(tensor, arena.bytes), tensor_bytes(tensor)))
      return 0;
  }
  return 1;
}

int harness_main(void) {
  uint32_t samples, sample, i;
#if NETWORK_OPENS
  if (!call_network(network_open)) return HARNESS_STACK_OVERRUN;
  if (network_result() != HARNESS_OK) return network_result();
#endif
  if (!harness_open()) return HARNESS_IO_FAILED;
  if (!get_u32(&samples)) return HARNESS_BAD_INPUT;
  for (i = 0; i < GUARD_BYTES; ++i) arena.before[i] = arena.after[i] = GUARD_VALUE;
  put_header(samples);
  for (sample = 0; sample < samples; ++sample) {
    if (!read_inputs()) return HARNESS_BAD_INPUT;
    if (!call_network(network_run)) return HARNESS_STACK_OVERRUN;
    if (network_result() != HARNESS_OK) return network_result();
    if (!guards_intact()) return HARNESS_ARENA_OVERRUN;
#if HARNESS_OBSERVE != HARNESS_OBSERVE_ALL
    for (i = 0; i < network_output_count(); ++i) {
      const uint32_t tensor = network_output(i);
      harness_observe(tensor, arena.bytes + network_offset(tensor, arena.bytes));
    }
#endif
    put_u32(HARNESS_END_OF_SAMPLE);
  }
  if (!harness_at_end()) return HARNESS_BAD_INPUT;
  put_u32(HARNESS_END);
  put_u32(stack_bytes);
  if (failed || !harness_close()) return HARNESS_IO_FAILED;
  return HARNESS_OK;
}
