/* Where an emulated RISC-V core begins, in machine mode, and where its traps end. */
#include "bare.h"

void trap(void);
__attribute__((used, aligned(4))) void trap(void) { bare_fault(); }

void reset(void);
__attribute__((section(".vectors"), naked, used)) void reset(void) {
  __asm__ volatile(
      ".option push\n"
      ".option norelax\n"
      "la gp, __global_pointer$\n"
      ".option pop\n"
      ".option arch, +zicsr\n"
      "la sp, stack_top\n"
      "la t0, trap\n"
      "csrw mtvec, t0\n"
      "j bare_start\n");
}
