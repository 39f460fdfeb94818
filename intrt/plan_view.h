// Typed access to the bytes of a plan. Nothing here checks anything: plan.cpp has checked it all,
// or is about to, before a function of this file is called.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "intrt/intrt.h"

namespace intrt {

enum OpCode : uint32_t {
#define INTRT_OP(code, name) kOp_##name = code,
#include "intrt/op_list.def"
#undef INTRT_OP
};

// The object at `offset`; the offset is in bounds and aligned for T.
template <typename T>
inline const T* object_at(const intrt_plan& plan, uint32_t offset) {
  return static_cast<const T*>(static_cast<const void*>(plan.bytes + offset));
}

inline const intrt_plan_header& header_of(const intrt_plan& plan) {
  return *object_at<intrt_plan_header>(plan, 0);
}

inline const intrt_tensor_record& tensor_record(const intrt_plan& plan, uint32_t tensor) {
  return object_at<intrt_tensor_record>(plan, header_of(plan).tensors_offset)[tensor];
}

inline uint32_t op_offset(const intrt_plan& plan, uint32_t op) {
  return object_at<uint32_t>(plan, header_of(plan).ops_offset)[op];
}

inline const intrt_op_record& op_record(const intrt_plan& plan, uint32_t op) {
  return *object_at<intrt_op_record>(plan, op_offset(plan, op));
}

// Tensor index of an operator's input.
inline uint32_t input_index(const intrt_plan& plan, const intrt_op_record& op, uint32_t i) {
  return object_at<uint32_t>(plan, op.inputs_offset)[i];
}

inline const intrt_tensor_record& input_record(const intrt_plan& plan, const intrt_op_record& op,
                                               uint32_t i) {
  return tensor_record(plan, input_index(plan, op, i));
}

// The operator's parameters, which follow its record.
template <typename Params>
inline const Params& params_of(const intrt_op_record& op) {
  return *static_cast<const Params*>(static_cast<const void*>(&op + 1));
}

inline uint32_t element_bytes(uint32_t type) {
  return type == INTRT_INT8 || type == INTRT_UINT8 ? 1 : type == INTRT_INT16 ? 2 : 4;
}

// At most 2^48, as each dimension is at most INTRT_MAX_DIM.
inline uint64_t element_count(const intrt_tensor_record& tensor) {
  return static_cast<uint64_t>(tensor.channels) * tensor.height * tensor.width;
}

inline uint64_t extent_bytes(const intrt_tensor_record& tensor) {
  return element_count(tensor) * element_bytes(tensor.type);
}

// Largest and smallest code of a width; 2 <= bits <= 32.
inline int32_t code_max(uint32_t bits) {
  return static_cast<int32_t>((static_cast<uint32_t>(1) << (bits - 1)) - 1);
}
inline int32_t code_min(uint32_t bits) { return -code_max(bits) - 1; }

inline bool same_shape(const intrt_tensor_record& a, const intrt_tensor_record& b) {
  return a.channels == b.channels && a.height == b.height && a.width == b.width;
}

}  // namespace intrt
