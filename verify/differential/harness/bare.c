/* What a core without an operating system needs to run a program in an emulator: memory that is set
 * up, the functions that compilers ask for, and an end. */
#include "bare.h"

#include <string.h>

#include "semihosting.h"

#define ADP_STOPPED_APPLICATION_EXIT 0x20026u

int main(void);

/* The linker script. */
extern uint32_t data_load, data_start, data_end, bss_start, bss_end;

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
  semihosting(SYS_EXIT_EXTENDED, arguments);
  for (;;) {
  }
}

void bare_fault(void) { finish(BARE_FAULT); }

void bare_start(void) {
  const uint32_t* from = &data_load;
  uint32_t* to = &data_start;
  while (to < &data_end) *to++ = *from++;
  for (to = &bss_start; to < &bss_end; ++to) *to = 0;
  finish((uint32_t)main());
}
