/* Forced in front of net.c, and included by network_plan.h: what happens to each visible tensor
 * there; see harness.h. */
#ifndef HARNESS_OBSERVE_H_
#define HARNESS_OBSERVE_H_

#include "harness.h"

#if HARNESS_OBSERVE == HARNESS_OBSERVE_ALL
#define LOCKSTEP_OBSERVE(tensor, data) harness_observe((uint32_t)(tensor), (data))
#elif HARNESS_OBSERVE == HARNESS_OBSERVE_MARKS
/* Counts of one tensor end here, those of the next begin (plugin/insn_count.c). */
#if defined(__arm__)
#define HARNESS_MARK ".inst.n 0xbfa0"
#elif defined(__riscv)
#define HARNESS_MARK ".4byte 0x7b302013"
#elif defined(__aarch64__)
#define HARNESS_MARK ".inst 0xd280f67f"
#endif
#define LOCKSTEP_OBSERVE(tensor, data)           \
  do {                                           \
    (void)(tensor);                              \
    (void)(data);                                \
    __asm__ volatile(HARNESS_MARK ::: "memory"); \
  } while (0)
#endif

#endif
