/* The vector table of an emulated Cortex-M core, and what has to be switched on after reset. */
#include "bare.h"

extern uint32_t stack_top; /* The linker script. */

#define CPACR (*(volatile uint32_t*)0xE000ED88u)
#define FULL_ACCESS_TO_CP10_AND_CP11 (0xFu << 20)
#define CCR (*(volatile uint32_t*)0xE000ED14u)
#define UNALIGN_TRP (1u << 3)

void reset(void);
void reset(void) {
#if defined(__ARM_FP)
  CPACR |= FULL_ACCESS_TO_CP10_AND_CP11; /* the FPU, and MVE where there is one */
  __asm__ volatile("dsb\n isb" ::: "memory");
#endif
#if !defined(__ARM_FEATURE_UNALIGNED)
  CCR |= UNALIGN_TRP; /* code for a Cortex-M0 faults as it would there, on any core */
#endif
  bare_start();
}

/* Initial stack pointer; reset, NMI, HardFault and all others of the architecture. */
struct vectors {
  uint32_t* stack;
  void (*handlers[15])(void);
};
extern const struct vectors vectors;
__attribute__((section(".vectors"), used)) const struct vectors vectors = {
    &stack_top,
    {reset, bare_fault, bare_fault, bare_fault, bare_fault, bare_fault, bare_fault, bare_fault,
     bare_fault, bare_fault, bare_fault, bare_fault, bare_fault, bare_fault, bare_fault}};
