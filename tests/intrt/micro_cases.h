/* The micro-kernels of intrt/micro and the arithmetic that has a variant of its own on some cores,
 * against plain formulas: the same C99 on this machine and on an emulated core. */
#ifndef MICRO_CASES_H_
#define MICRO_CASES_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Memory for array `array` (0 .. 4) of a case, until it is asked for again. It begins at a multiple
 * of 8 bytes where `bytes` is one. */
void* micro_memory(int array, uint32_t bytes);
/* Whether nothing was written outside of any of these arrays. */
int micro_memory_intact(void);

/* 0, or the line of micro_cases.c that failed first, or of the files below, which it runs, too. */
int micro_cases(void);
/* The same of what reads and writes no array. */
int micro_arithmetic_cases(void);
int micro_linear_cases(void);
int micro_mve_cases(void);
int micro_neon_cases(void);
int micro_sparse_cases(void);
int micro_wide_cases(void);
/* Runs all `count` cases, `times` times; 0, or the first line that failed. */
int micro_run(int (*const cases[])(void), int count, int times);

/* Whether the functions are not the plain ones here. Cores that have nothing to do with MVE or NEON
 * may leave out their cases: MICRO_NO_MVE, MICRO_NO_NEON. */
int micro_has_dsp(void);
int micro_has_mve(void);
int micro_has_neon(void);
int micro_has_wide(void);

#ifdef __cplusplus
}
#endif

#endif
