#include "intrt/kernel_choice.h"

#include "intrt/kernels/kernel.h"

namespace intrt {
namespace {

// kernel_list.def has the kernels of an operator with weights in this order: dense, sparse,
// segments, of each the one for 8 bits and then the wide one.
static_assert(kKernel_conv2d_segments_wide == kKernel_conv2d + 5 &&
                  kKernel_linear_segments_wide == kKernel_linear + 5 &&
                  kKernel_conv_transpose2d_wide == kKernel_conv_transpose2d + 1,
              "the order of kernel_list.def");

KernelId by_width(KernelId narrow, const intrt_tensor_record& input, uint32_t weight_type) {
  const bool wide = input.type != INTRT_INT8 || weight_type != INTRT_INT8;
  return static_cast<KernelId>(narrow + (wide ? 1 : 0));
}

template <typename Params>
KernelId by_storage(KernelId dense, const intrt_tensor_record& input, const Params& p) {
  const uint32_t before = p.nonzero_offset != 0 ? 2 : p.segment_count != 0 ? 4 : 0;
  return by_width(static_cast<KernelId>(dense + before), input, p.weight_type);
}

}  // namespace

KernelId kernel_of(const intrt_plan& plan, const intrt_op_record& op) {
  const intrt_tensor_record& input = input_record(plan, op, 0);
  switch (static_cast<OpCode>(op.code)) {
    case kOp_conv2d:
      return by_storage(kKernel_conv2d, input, params_of<intrt_conv2d_params>(op));
    case kOp_linear:
      return by_storage(kKernel_linear, input, params_of<intrt_linear_params>(op));
    case kOp_conv_transpose2d:
      return by_width(kKernel_conv_transpose2d, input,
                      params_of<intrt_conv_transpose2d_params>(op).weight_type);
#define INTRT_ONE_KERNEL(name) \
  case kOp_##name:             \
    return kKernel_##name;
      INTRT_ONE_KERNEL(max_pool2d)
      INTRT_ONE_KERNEL(requantize)
      INTRT_ONE_KERNEL(avg_pool2d)
      INTRT_ONE_KERNEL(add)
      INTRT_ONE_KERNEL(mul)
      INTRT_ONE_KERNEL(table)
      INTRT_ONE_KERNEL(move)
      INTRT_ONE_KERNEL(argmax)
#undef INTRT_ONE_KERNEL
  }
  return kKernels;
}

const intrt_kernel* find_kernel(const intrt_plan& plan, KernelId id) {
  for (const intrt_kernel* const* kernel = plan.kernels; *kernel != nullptr; ++kernel)
    if ((*kernel)->id == id) return *kernel;
  return nullptr;
}

}  // namespace intrt

const char* intrt_op_kernel(const intrt_plan* plan, uint32_t op) {
  switch (intrt::kernel_of(*plan, intrt::op_record(*plan, op))) {
#define INTRT_KERNEL(operator_name, name) \
  case intrt::kKernel_##name:             \
    return #name;
#include "intrt/kernel_list.def"
#undef INTRT_KERNEL
    case intrt::kKernels:
      break;
  }
  return "";
}
