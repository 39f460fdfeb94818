/* The public headers are C99: this file is compiled as such, with every warning on. */
#include "intrt/arith.h"
#include "intrt/intrt.h"
#include "intrt/plan_format.h"

int lockstep_headers_are_c99(const intrt_plan* plan);

int lockstep_headers_are_c99(const intrt_plan* plan) {
  const intrt_tensor tensor = intrt_tensor_info(plan, intrt_input(plan, 0));
  return intrt_requantize((int32_t)tensor.element_count, 1, INTRT_ROUND_FLOOR, 0, 127);
}
