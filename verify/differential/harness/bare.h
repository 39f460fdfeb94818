/* What the start of a core without an operating system consists of: startup_*.c brings it from
 * reset to bare_start. */
#ifndef BARE_H_
#define BARE_H_

#include <stdint.h>

/* The emulator's exit code where the core faulted. */
#define BARE_FAULT 5u

/* Sets the memory up, runs main and ends the emulator with its result. */
void bare_start(void);

/* Ends the emulator with BARE_FAULT. */
void bare_fault(void);

#endif
