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
  const intrt_plan& plan;
  const intrt_op_record& record;
  const intrt_tensor_record& input;  // the first
  const intrt_tensor_record& output;

  const intrt_tensor_record& input_at(uint32_t i) const { return input_record(plan, record, i); }
};

// The width of the accumulators before a post-op.
enum class Width : uint8_t { kNormal, kWide };
inline Width width_of(uint32_t weight_type) {
  return weight_type == INTRT_INT32 ? Width::kWide : Width::kNormal;
}

// The post record fits the output tensor.
intrt_status check_post(Checker& checker, const intrt_post_record& post,
                        const intrt_tensor_record& output, Width width = Width::kNormal);

// 0, or one bit for each element of the output, none set behind the last.
intrt_status check_mask(const Checker& checker, uint32_t mask_offset,
                        const intrt_tensor_record& output);

// The largest magnitude that a code of this width can have: 2^(bits-1).
inline uint64_t code_magnitude(const intrt_tensor_record& tensor) {
  return static_cast<uint32_t>(1) << (tensor.bits - 1);
}

inline uint64_t magnitude(int32_t x) {
  return x < 0 ? 0u - static_cast<uint32_t>(x) : static_cast<uint32_t>(x);
}

// The largest magnitude that an accumulator may have: 2^31 - 1, or, where it is stored as it is
// (INTRT_POST_NONE), that of the output's bits.
inline uint32_t accumulator_limit(const intrt_post_record& post,
                                  const intrt_tensor_record& output) {
  return static_cast<uint32_t>(code_max(post.kind == INTRT_POST_NONE ? output.bits : 32));
}

// Along each axis the input has the output's size, or 1: then its element serves all.
bool spreads_over(const intrt_tensor_record& input, const intrt_tensor_record& output);

// How often, on average, a pooling may read each input element. Windows cost next to no plan bytes,
// so without a limit a tiny plan could run for days.
constexpr uint64_t kMaxReadsPerElement = 4096;

// How weights are kept (intrt_conv2d_params); all 0: dense, each standing for itself.
struct WeightStorage {
  uint32_t nonzero_offset, starts_offset, segment_count, segments_offset;
};
template <typename Params>
WeightStorage storage_of(const Params& p) {
  return {p.nonzero_offset, p.starts_offset, p.segment_count, p.segments_offset};
}

// Weights [rows][taps][inputs] and the bias lie in the plan as their storage says, and no
// accumulator can leave its width, in any order of summation: for each row, sum |w| *
// 2^(input_bits-1) + |bias| <= 2^31 - 1, or 2^62 with weights of 32 bits; with INTRT_POST_NONE the
// output's own bits are the limit. With segments, w is what a weight stands for, so that no sum can
// leave the width between two segments either.
struct WeightSpec {
  uint32_t weight_type, weights_offset, bias_offset;
  uint64_t rows, taps, inputs;  // rows <= INTRT_MAX_DIM, taps * inputs < 2^56
  WeightStorage storage;
};
intrt_status check_weights(Checker& checker, const WeightSpec& spec,
                           const intrt_tensor_record& input, const intrt_post_record& post,
                           const intrt_tensor_record& output);

// Of tensors, kernels, strides and dilations.
inline bool dimension_allowed(uint32_t size) { return size >= 1 && size <= INTRT_MAX_DIM; }

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

// Input and output have as many channels, and each channel has the same decimal in both.
intrt_status check_same_decimals(Checker& checker, const intrt_tensor_record& input,
                                 const intrt_tensor_record& output);

}  // namespace intrt

#define INTRT_OP(code, name) \
  intrt_status intrt_check_##name(intrt::Checker& checker, const intrt::OpToCheck& op);
#include "intrt/op_list.def"
#undef INTRT_OP
