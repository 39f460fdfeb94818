/* The integer runtime. Valid as C99 and C++17; freestanding: no heap, libc, float or mutable
 * globals.
 *
 *   intrt_plan plan;
 *   intrt_open(&plan, bytes, size);              validates every byte before anything can run
 *   fill intrt_tensor_data(&plan, arena, intrt_input(&plan, 0))
 *   intrt_run(&plan, arena, arena_bytes, 0);
 *   read intrt_tensor_data(&plan, arena, intrt_output(&plan, 0))
 *
 * A plan that opens runs within its own bytes and its arena, without overflow in any accumulator,
 * for every input whose codes lie in the input's declared range (intrt_run checks that). Plans are
 * data from outside: opening takes time linear in the plan's size and no memory beyond intrt_plan.
 */
#ifndef INTRT_INTRT_H_
#define INTRT_INTRT_H_

#include <stddef.h>
#include <stdint.h>

#include "intrt/plan_format.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
  INTRT_OK = 0,
  INTRT_ERROR_NULL,       /* a required pointer is null */
  INTRT_ERROR_ALIGNMENT,  /* plan or arena not 16-byte aligned */
  INTRT_ERROR_NOT_A_PLAN, /* wrong magic */
  INTRT_ERROR_VERSION,    /* another format version, or a big-endian machine */
  INTRT_ERROR_SIZE,       /* truncated or extended */
  INTRT_ERROR_CHECKSUM,
  INTRT_ERROR_BOUNDS,     /* an offset, count or extent leaves the plan or the arena */
  INTRT_ERROR_VALUE,      /* a field holds a value that the format does not allow */
  INTRT_ERROR_SHAPE,      /* tensors of an operator do not fit together */
  INTRT_ERROR_OVERFLOW,   /* an accumulator could exceed 32 bits */
  INTRT_ERROR_OPERATOR,   /* unknown operator code */
  INTRT_ERROR_KERNELS,    /* no such kernel variant, or this CPU cannot run it */
  INTRT_ERROR_ARENA,      /* arena too small */
  INTRT_ERROR_INPUT,      /* an input code lies outside the declared range */
  INTRT_ERROR_WORK,       /* checking or running takes time out of proportion to the plan */
  INTRT_ERROR_NOT_LINKED, /* the operator's kernel is not among those of intrt_open_with */
  INTRT_ERROR_PREPARED    /* the kernels need memory that intrt_prepare filled for this plan */
} intrt_status;

const char* intrt_status_text(intrt_status status);

/* What checks and runs an operator (intrt/kernels.h). */
typedef struct intrt_kernel intrt_kernel;

/* A view of validated plan bytes; these, and the list of kernels, must outlive it. Fields are
 * private. */
typedef struct {
  const uint8_t* bytes;
  uint32_t size;
  const intrt_kernel* const* kernels;
} intrt_plan;

/* One tensor, decoded. Pointers lead into the plan. */
typedef struct {
  const char* name;
  uint32_t channels, height, width;
  uint32_t element_count;
  uint32_t type; /* INTRT_INT8, INTRT_INT16, INTRT_INT32, INTRT_UINT8 */
  uint32_t element_bytes;
  uint32_t bits;
  uint32_t logical_rank;
  uint32_t flags; /* INTRT_TENSOR_* */
  const int8_t* decimals;
  uint32_t decimal_count; /* 1, or channels */
  const float* offsets;   /* one per channel, to be added to the values; null: none */
  /* which channel of the graph node each channel is; null: all of them, in order */
  const uint16_t* channel_map;
} intrt_tensor;

/* Called after the operator that made `tensor` has run, while its data is valid. Inputs are
 * reported first. So that all of it is there, no operators run together (intrt_chain_links). */
typedef void (*intrt_observer)(void* context, uint32_t tensor, const void* data);

/* Threads of the caller's. `run` calls part(work, i) once for each i below `parts`, on any threads,
 * in any order and at the same time, and returns when all have returned. What they wrote is then to
 * be seen by its caller, and what its caller wrote before by them. A part takes up to 64 KB of
 * stack and never calls `run` itself. */
typedef struct {
  void (*run)(void* pool, uint32_t parts, void (*part)(void* work, uint32_t index), void* work);
  void* pool;
  uint32_t threads; /* an operator is divided into at most so many parts; at least 1 */
} intrt_parallel;

typedef struct {
  const char* kernels;     /* a variant's name; null: the best that is possible */
  intrt_observer observer; /* null: none */
  void* observer_context;
  const intrt_parallel* parallel; /* for intrt_run_prepared; null: the calling thread alone */
} intrt_run_options;

/* On failure `plan` is unusable and, where `failed_op` is not null, *failed_op is the index of the
 * operator at fault or UINT32_MAX. `bytes` begin at a multiple of INTRT_PLAN_ALIGNMENT. */
intrt_status intrt_open(intrt_plan* plan, const void* bytes, size_t size, uint32_t* failed_op);

/* The same with the kernels of this list alone, which ends with a null: a program that calls this
 * and not intrt_open links no others. An operator that needs another is INTRT_ERROR_NOT_LINKED. */
intrt_status intrt_open_with(intrt_plan* plan, const void* bytes, size_t size,
                             const intrt_kernel* const* kernels, uint32_t* failed_op);

const char* intrt_network_name(const intrt_plan* plan);
uint32_t intrt_arena_bytes(const intrt_plan* plan);
uint32_t intrt_tensor_count(const intrt_plan* plan);
uint32_t intrt_op_count(const intrt_plan* plan);
uint32_t intrt_input_count(const intrt_plan* plan);
uint32_t intrt_output_count(const intrt_plan* plan);
uint32_t intrt_input(const intrt_plan* plan, uint32_t i);  /* tensor index; i < input_count */
uint32_t intrt_output(const intrt_plan* plan, uint32_t i); /* tensor index; i < output_count */
intrt_tensor intrt_tensor_info(const intrt_plan* plan, uint32_t tensor);
const intrt_op_record* intrt_op(const intrt_plan* plan, uint32_t op);
const char* intrt_op_kernel(const intrt_plan* plan, uint32_t op); /* its name in kernel_list.def */
/* Multiplications by stored weights for one sample, those with padding included; 0 for an operator
 * without weights. */
uint64_t intrt_op_macs(const intrt_plan* plan, uint32_t op);
void* intrt_tensor_data(const intrt_plan* plan, void* arena, uint32_t tensor);

/* Runs the network once (one sample) with kernels that read the plan where it lies, which only
 * those of the variant "scalar" do. `options` may be null. Touches the arena only.
 * INTRT_ERROR_PREPARED when the options name a variant that needs prepared memory. */
intrt_status intrt_run(const intrt_plan* plan, void* arena, size_t arena_bytes,
                       const intrt_run_options* options);

/* Fast kernels want the weights in an order of their own. A program that has the memory makes them
 * ready once and then runs with them; any number of threads may share what was prepared:
 *
 *   size_t bytes = intrt_prepared_bytes(&plan, 0);
 *   memory of so many bytes, aligned to INTRT_PREPARED_ALIGNMENT, that outlives the runs
 *   intrt_prepare(&plan, 0, memory, bytes);
 *   intrt_run_prepared(&plan, memory, arena, arena_bytes, 0);
 *
 * The plan itself stays as it is. `kernels` is a variant's name; null: the best this CPU can run.
 * INTRT_ERROR_PREPARED where the memory is too small; it is of no use to intrt_run_prepared then.
 */
#define INTRT_PREPARED_ALIGNMENT 64u
/* 0 where there is no such variant, or this CPU cannot run it. Never 0 otherwise. */
size_t intrt_prepared_bytes(const intrt_plan* plan, const char* kernels);
intrt_status intrt_prepare(const intrt_plan* plan, const char* kernels, void* memory, size_t bytes);
/* intrt_run with the kernels of the variant that `prepared` is for. INTRT_ERROR_PREPARED when it is
 * for another plan than this one or does not begin like prepared memory; INTRT_ERROR_KERNELS when
 * the options name another variant. Operators with enough work are divided among the threads of the
 * options; the codes are the same however many there are. */
intrt_status intrt_run_prepared(const intrt_plan* plan, const void* prepared, void* arena,
                                size_t arena_bytes, const intrt_run_options* options);
/* Of memory that was prepared, op < op_count: how many operators from `op` on run together, some
 * rows at a time, so that what goes from one to the next stays in the cache; 0: no chain begins
 * there. With an observer, or where there are more threads than a chain can be divided among, they
 * run one by one. The codes are the same. */
uint32_t intrt_chain_links(const void* prepared, uint32_t op);

/* The kernel variants that were built in, best first; null after the last. "scalar" is always last.
 */
const char* intrt_kernel_variant(uint32_t i);
/* 1 when this CPU can run the variant. */
int intrt_kernel_variant_runs_here(uint32_t i);

/* zlib's CRC-32 of the plan bytes with the checksum field taken as 0. For writers of plans. */
uint32_t intrt_plan_crc32(const void* bytes, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* INTRT_INTRT_H_ */
