/* What the start of a core without an operating system consists of: startup_*.c brings it from
 * reset to bare_start. */
#ifndef HARNESS_BARE_H_
#define HARNESS_BARE_H_

#include <stdint.h>

/* Sets the memory up, runs harness_main and ends the emulator with its result. */
void bare_start(void);

/* Ends the emulator with HARNESS_FAULT. */
void bare_fault(void);

#endif
