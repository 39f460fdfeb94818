/* What the harness around a network consists of: harness.c runs it on samples and writes what it
 * sees; network_c.h is the network as generated C, network_plan.h a plan (plan.S) that the runtime
 * runs; one io_*.c moves bytes; observe.h is forced into net.c so that every visible tensor is
 * reported; self_test.c stands in for harness.c and runs net_selftest alone, whose result it
 * writes as a u32. On a core without an operating system startup_*.c, bare.c and bare.ld bring the
 * program to its start; measured_call.S is for emulated targets.
 *
 * Compile with -DHARNESS_NETWORK= one of the two headers (quoted); for generated C
 * -DHARNESS_HEADER="net.h" (quoted), -DHARNESS_PREFIX=net, -DHARNESS_PREFIX_UPPER=NET; for a plan
 * -DHARNESS_ARENA_BYTES= those of the plan, -DHARNESS_KERNELS= the addresses of its kernels, with
 * commas; -DHARNESS_OBSERVE= one of the three values below, -DHARNESS_MEASURED=1 on an emulated
 * target, where the network has a stack of its own and is counted, else =0, and -DHARNESS_PROBE=1
 * to replace every tensor, once it is reported, by codes of the input.
 *
 * Input:  u32 samples, then for each sample each input tensor's bytes as they lie in the arena; for
 * probes then, for each tensor in the order in which they are reported, u32 tensor, its bytes.
 * Output: "LKSTREAM", u32 version 5, u32 samples, u32 arena bytes, u32 tensor, input and output
 * count, u32 tensor indices of inputs and outputs, then for each tensor u32 name length, the name,
 *         u32 type, bits, logical rank, channels, height, width, decimal count, arena
 * offset, flags (as in net.h), the decimals, u32 number of offsets and the bits of each, u32
 * number of channels in its channel map and a u16 for each; then
 * records: u32 tensor, u32 bytes, the bytes; u32 HARNESS_END_OF_SAMPLE after each sample, u32
 * HARNESS_END after the last, u32 the most bytes of stack that a call took, 0 where that is not
 * measured. Everything is little endian. */
#ifndef HARNESS_H_
#define HARNESS_H_

#include <stdint.h>

/* Values of HARNESS_OBSERVE. */
#define HARNESS_OBSERVE_OUTPUTS 0 /* nothing in between, as on a device; outputs are reported */
#define HARNESS_OBSERVE_ALL 1     /* every tensor is reported, right after it is made */
#define HARNESS_OBSERVE_MARKS 2   /* a mark for the counter is there; outputs are reported */

#define HARNESS_END_OF_SAMPLE 0xFFFFFFFFu
#define HARNESS_END 0xFFFFFFFEu

/* Exit codes. */
#define HARNESS_OK 0
#define HARNESS_BAD_INPUT 2
#define HARNESS_ARENA_OVERRUN 3
#define HARNESS_IO_FAILED 4
/* 5 is BARE_FAULT of bare.h. */
#define HARNESS_STACK_OVERRUN 6
#define HARNESS_RUNTIME_FAILED 16 /* plus the intrt_status */

/* The I/O layer. Each returns 1 when every byte was moved. */
int harness_open(void);
int harness_read(void* data, uint32_t bytes);
int harness_write(const void* data, uint32_t bytes);
int harness_close(void);
/* 1 when nothing is left to read. */
int harness_at_end(void);

/* Called by the network through observe.h. */
void harness_observe(uint32_t tensor, void* data);

/* measured_call.S */
void harness_measured_call(void (*function)(void*), void* argument, void* stack_top);

int harness_main(void);

#endif
