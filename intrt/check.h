// What the checks of a plan share. Each kernel file has intrt_check_<op>, which decides whether one
// op record may run; plan.cpp calls it after it has checked the tensors, the indices and the
// record's size.
//
// A plan is data from outside, so time matters too: each array that a check reads, and each step of
// a search, is paid for from a budget proportional to the plan's size.
#pragma once

#include <stdint.h>

#include "intrt/plan_view.h"

namespace intrt {

class Checker {
 public:
  // The whole check of a plan may read this many times the plan's bytes (docs/plan-format.md).
  static constexpr uint64_t kStepsPerByte = 8;

  explicit Checker(const intrt_plan& plan) : plan_(plan), steps_left_(kStepsPerByte * plan.size) {}

  const intrt_plan& plan() const { return plan_; }

  // True when `count` elements at `offset` lie in the plan, behind its header, suitably aligned.
  // Any values; count * element_bytes must stay below 2^64 (counts of at most 2^56 do).
  bool holds(uint32_t offset, uint64_t count, uint32_t element_bytes, uint32_t alignment) const {
    return offset >= sizeof(intrt_plan_header) && offset % alignment == 0 && offset <= plan_.size &&
           count * element_bytes <= plan_.size - offset;
  }

  // Pays for work; false when the budget does not cover it.
  bool spend(uint64_t steps) {
    if (steps > steps_left_) return false;
    steps_left_ -= steps;
    return true;
  }

 private:
  const intrt_plan& plan_;
  uint64_t steps_left_;
};

// One operator: its record and its tensors, all of them in bounds.
struct OpToCheck {
  const intrt_op_record& record;
  const intrt_tensor_record& input;
  const intrt_tensor_record& output;
};

// The post record fits the output tensor.
intrt_status check_post(Checker& checker, const intrt_post_record& post,
                        const intrt_tensor_record& output);

// Weights [rows][row_length] and the bias lie in the plan, and no accumulator can leave 32 bits, in
// any order of summation: for each row, sum |w| * 2^(input_bits-1) + |bias| <= 2^31 - 1; with
// INTRT_POST_NONE the output's own bits are the limit.
struct AccumulatorSpec {
  uint32_t weight_type, weights_offset, bias_offset;
  uint64_t rows, row_length;  // rows <= INTRT_MAX_DIM, row_length < 2^56
};
intrt_status check_accumulators(Checker& checker, const AccumulatorSpec& spec,
                                const intrt_tensor_record& input, const intrt_post_record& post,
                                const intrt_tensor_record& output);

// Along one axis: `kernel` taps, `dilation` apart, the first at position * stride - pad_before.
struct WindowAxis {
  uint32_t input, output, kernel, stride, dilation, pad_before, pad_after;

  bool values_allowed() const;
  int64_t padded() const { return static_cast<int64_t>(input) + pad_before + pad_after; }
  int64_t reach() const { return static_cast<int64_t>(dilation) * (kernel - 1) + 1; }
};

template <typename Params>
WindowAxis vertical_axis(const Params& p, const OpToCheck& op) {
  return {op.input.height, op.output.height, p.kernel_h,  p.stride_h,
          p.dilation_h,    p.pad_top,        p.pad_bottom};
}

template <typename Params>
WindowAxis horizontal_axis(const Params& p, const OpToCheck& op) {
  return {op.input.width, op.output.width, p.kernel_w, p.stride_w,
          p.dilation_w,   p.pad_left,      p.pad_right};
}

// Element types that a multiplying operator reads.
inline bool multiplies(const intrt_tensor_record& input) {
  return input.type == INTRT_INT8 || input.type == INTRT_INT16;
}

// Each input channel has the decimal of the `repeat` output channels that it becomes.
intrt_status check_same_decimals(Checker& checker, const intrt_tensor_record& input,
                                 const intrt_tensor_record& output, uint32_t repeat);

}  // namespace intrt

#define INTRT_OP(code, name) \
  intrt_status intrt_check_##name(intrt::Checker& checker, const intrt::OpToCheck& op);
#include "intrt/op_list.def"
#undef INTRT_OP
