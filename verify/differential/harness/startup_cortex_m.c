/* Brings an emulated Cortex-M core from reset to harness_main and ends the emulator with its
 * result. */
#include <stdint.h>
#include <string.h>

#include "harness.h"

#define SYS_EXIT_EXTENDED 0x20u
#define ADP_STOPPED_APPLICATION_EXIT 0x20026u

/* cortex_m.ld */
extern uint32_t stack_top, data_load, data_start, data_end, bss_start, bss_end;

/* Else the compiler would turn these loops into calls of the functions that they implement. */
#pragma GCC optimize("no-tree-loop-distribute-patterns")

void* memcpy(void* restrict to, const void* restrict from, size_t bytes) {
  uint8_t* out = to;
  const uint8_t* in = from;
  while (bytes-- != 0u) *out++ = *in++;
  return to;
}

void* memmove(void* to, const void* from, size_t bytes) {
  uint8_t* out = to;
  const uint8_t* in = from;
  if ((uintptr_t)out <= (uintptr_t)in) return memcpy(to, from, bytes);
  while (bytes-- != 0u) out[bytes] = in[bytes];
  return to;
}

void* memset(void* to, int value, size_t bytes) {
  uint8_t* out = to;
  while (bytes-- != 0u) *out++ = (uint8_t)value;
  return to;
}

int memcmp(const void* a, const void* b, size_t bytes) {
  const uint8_t* left = a;
  const uint8_t* right = b;
  size_t i;
  for (i = 0; i < bytes; ++i)
    if (left[i] != right[i]) return left[i] < right[i] ? -1 : 1;
  return 0;
}

size_t strlen(const char* text) {
  size_t length = 0;
  while (text[length] != '\0') ++length;
  return length;
}

static void finish(uint32_t code) {
  const uint32_t arguments[2] = {ADP_STOPPED_APPLICATION_EXIT, code};
  register uint32_t r0 __asm__("r0") = SYS_EXIT_EXTENDED;
  register const void* r1 __asm__("r1") = arguments;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  for (;;) {
  }
}

static void fault(void) { finish(HARNESS_FAULT); }

void reset(void);
void reset(void) {
  uint32_t* from = &data_load;
  uint32_t* to = &data_start;
  while (to < &data_end) *to++ = *from++;
  for (to = &bss_start; to < &bss_end; ++to) *to = 0;
  finish((uint32_t)harness_main());
}

/* Initial stack pointer, reset, NMI, HardFault, MemManage, BusFault, UsageFault, 4 reserved,
 * SVCall, Debug, reserved, PendSV, SysTick. */
typedef void (*handler)(void);
extern const handler vectors[15];
__attribute__((section(".vectors.handlers"), used)) const handler vectors[15] = {
    reset, fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, fault, 0, fault, fault};
__attribute__((section(".vectors.stack"), used)) uint32_t* const initial_stack = &stack_top;
