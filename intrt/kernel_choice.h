// Which kernel runs an operator of a plan.
#pragma once

#include <stdint.h>

#include "intrt/plan_view.h"

namespace intrt {

enum KernelId : uint32_t {
#define INTRT_KERNEL(operator_name, name) kKernel_##name,
#include "intrt/kernel_list.def"
#undef INTRT_KERNEL
  kKernels
};

// The record's code is known and its tensors are in bounds; whatever else it holds, this is a
// kernel of its operator.
KernelId kernel_of(const intrt_plan& plan, const intrt_op_record& op);

// Of the kernels that the plan was opened with; null when it is not among them.
const intrt_kernel* find_kernel(const intrt_plan& plan, KernelId id);

}  // namespace intrt
