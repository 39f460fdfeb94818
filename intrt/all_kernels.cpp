// intrt_open, and with it every kernel. A program that only calls intrt_open_with links none of
// this.
#include "intrt/kernels.h"

namespace {

constexpr const intrt_kernel* kAllKernels[] = {
#define INTRT_KERNEL(operator_name, name) &intrt_kernel_##name,
#include "intrt/kernel_list.def"
#undef INTRT_KERNEL
    nullptr};

}  // namespace

intrt_status intrt_open(intrt_plan* plan, const void* bytes, size_t size, uint32_t* failed_op) {
  return intrt_open_with(plan, bytes, size, kAllKernels, failed_op);
}
