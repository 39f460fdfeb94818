/* The micro-kernels on an emulated core: runs micro_cases and gives its result to the emulator, as
 * its exit code. Each array in turn ends where memory ends: the core faults at the next byte. */
#if defined(__linux__)
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <stdlib.h>
#include <sys/mman.h>
#endif

#include <string.h>

#include "micro_cases.h"

enum { kArrays = 5, kGuard = 64, kMostBytes = 4096 };
#define UNTOUCHED 0xa5u

#ifndef MICRO_HAS_MVE
#define MICRO_HAS_MVE 0
#endif
#ifndef MICRO_HAS_NEON
#define MICRO_HAS_NEON 0
#endif
#ifndef MICRO_HAS_WIDE
#define MICRO_HAS_WIDE 0
#endif

#if defined(__arm__) && __ARM_ARCH >= 8
/* MICRO_END_OF_MEMORY is in the middle of the RAM, far from data and stack; the protection unit
 * allows all memory but 64 KiB from there. */
static void forbid_what_follows(void) {
  volatile uint32_t* const control = (volatile uint32_t*)0xE000ED94u;
  *(volatile uint32_t*)0xE000EDC0u = 0xffu; /* attribute 0: normal memory */
  control[1] = 0;                           /* region 0: to be read and written */
  control[2] = 1u << 1;
  control[3] = (MICRO_END_OF_MEMORY - 32u) | 1u;
  control[1] = 1; /* region 1 */
  control[2] = (MICRO_END_OF_MEMORY + 0x10000u) | 1u << 1;
  control[3] = 0xffffffe1u;
  control[0] = 1u; /* on, for all code */
  __asm__ volatile("dsb\nisb" ::: "memory");
}
enum { kTurns = kArrays };
#elif defined(__arm__)
/* MICRO_END_OF_MEMORY is in the middle of the RAM, far from data and stack; the protection unit
 * forbids 64 KiB from there. */
static void forbid_what_follows(void) {
  volatile uint32_t* const control = (volatile uint32_t*)0xE000ED94u;
  control[2] = MICRO_END_OF_MEMORY | 1u << 4; /* base of region 0 */
  control[3] = 1u << 28 | 15u << 1 | 1u;      /* no access, 2^16 bytes, on */
  control[0] = 1u << 2 | 1u;                  /* on; all else as without it */
  __asm__ volatile("dsb\nisb" ::: "memory");
}
enum { kTurns = kArrays };
#elif defined(__linux__)
/* A program under an emulated kernel: 64 KiB that end at MICRO_END_OF_MEMORY, and 64 KiB behind
 * them that are nobody's. */
static void forbid_what_follows(void) {
  const size_t bytes = 0x10000;
  uint8_t* const begin = (uint8_t*)(uintptr_t)MICRO_END_OF_MEMORY - bytes;
  if (mmap(begin, 2 * bytes, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != begin ||
      mprotect(begin + bytes, bytes, PROT_NONE) != 0)
    exit(2);
}
enum { kTurns = kArrays };
#else
/* Writes beside arrays are seen all the same. */
static void forbid_what_follows(void) {}
enum { kTurns = 0 };
#endif

static struct {
  _Alignas(8) uint8_t bytes[kMostBytes + 2 * kGuard];
  uint8_t* data;
  uint32_t size;
} memory[kArrays];
static int at_end;  // the array

static uint8_t* before(int array) { return memory[array].data - kGuard; }

void* micro_memory(int array, uint32_t bytes) {
  if (bytes > kMostBytes) return 0;
  memory[array].size = bytes;
  memory[array].data = array == at_end ? (uint8_t*)(uintptr_t)(MICRO_END_OF_MEMORY - bytes)
                                       : memory[array].bytes + kGuard;
  memset(before(array), UNTOUCHED, bytes + (array == at_end ? 1 : 2) * kGuard);
  return memory[array].data;
}

int micro_memory_intact(void) {
  for (int array = 0; array < kArrays; ++array)
    for (uint32_t i = 0; memory[array].data != 0 && i < kGuard; ++i)
      if (before(array)[i] != UNTOUCHED ||
          (array != at_end && memory[array].data[memory[array].size + i] != UNTOUCHED))
        return 0;
  return 1;
}

/* 0; 5: a fault (the startup code's; elsewhere the signal's); 10 and more: 10 + half the line of
 * micro_cases.c. */
int main(void) {
  if (micro_has_dsp() != MICRO_HAS_DSP || micro_has_wide() != MICRO_HAS_WIDE) return 1;
#ifndef MICRO_NO_MVE
  if (micro_has_mve() != MICRO_HAS_MVE) return 1;
#endif
#ifndef MICRO_NO_NEON
  if (micro_has_neon() != MICRO_HAS_NEON) return 1;
#endif
  int failed = micro_arithmetic_cases();
  forbid_what_follows();
  for (at_end = -1; at_end < kTurns && failed == 0; ++at_end) {
    memset(memory, 0, sizeof memory);
    failed = micro_cases();
  }
  if (failed != 0) return 10 + failed / 2;
#ifdef MICRO_READS_BEHIND
  return *(volatile uint8_t*)(uintptr_t)MICRO_END_OF_MEMORY; /* must fault */
#else
  return 0;
#endif
}
