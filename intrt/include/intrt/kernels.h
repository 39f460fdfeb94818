/* Every kernel of the runtime by its name, for lists of those that a program links:
 *
 *   static const intrt_kernel* const kernels[] = {&intrt_kernel_conv2d, &intrt_kernel_linear, 0};
 *   intrt_open_with(&plan, bytes, size, kernels, 0);
 *
 * `lockstep compile --emit-plan-c` writes the list that a plan needs. A linker that drops what
 * nothing refers to leaves out all other kernels. Valid as C99 and C++17. */
#ifndef INTRT_KERNELS_H_
#define INTRT_KERNELS_H_

#include "intrt/intrt.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INTRT_KERNEL(operator_name, name) extern const intrt_kernel intrt_kernel_##name;
#include "intrt/kernel_list.def"
#undef INTRT_KERNEL

#ifdef __cplusplus
}
#endif

#endif /* INTRT_KERNELS_H_ */
