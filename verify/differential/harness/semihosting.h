/* Calls of a program without an operating system to the emulator that it runs in. Numbers and
 * arguments: Arm's "Semihosting for AArch32 and AArch64", which RISC-V has taken over. */
#ifndef SEMIHOSTING_H_
#define SEMIHOSTING_H_

#include <stdint.h>

#define SYS_OPEN 0x01u
#define SYS_CLOSE 0x02u
#define SYS_WRITE0 0x04u /* the argument is a text, to the console */
#define SYS_WRITE 0x05u
#define SYS_READ 0x06u
#define SYS_FLEN 0x0Cu
#define SYS_EXIT_EXTENDED 0x20u

static inline uint32_t semihosting(uint32_t number, const void* arguments) {
#if defined(__riscv)
  register uint32_t result __asm__("a0") = number;
  register const void* pointer __asm__("a1") = arguments;
  /* The emulator knows the call by the two that do nothing, in one page and not compressed. */
  __asm__ volatile(
      ".option push\n"
      ".option norvc\n"
      ".balign 16\n"
      "slli x0, x0, 0x1f\n"
      "ebreak\n"
      "srai x0, x0, 7\n"
      ".option pop\n"
      : "+r"(result)
      : "r"(pointer)
      : "memory");
#else
  register uint32_t result __asm__("r0") = number;
  register const void* pointer __asm__("r1") = arguments;
  __asm__ volatile("bkpt 0xab" : "+r"(result) : "r"(pointer) : "memory");
#endif
  return result;
}

#endif
