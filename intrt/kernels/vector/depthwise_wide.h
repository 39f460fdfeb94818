// Depthwise convolutions with codes or weights of 16 bits: one kernel takes all.
#pragma once

#include "intrt/kernels/vector/depthwise_any.h"

namespace intrt {
namespace {

// A slice is the output rows that the same sets serve.
inline size_t depthwise_slice_rows(const Sizes& s) { return Columns(s).output_rows; }

inline size_t depthwise_bytes(const OpToPrepare& op, const intrt_post_record& post,
                              const Sizes& s) {
  return bytes_of_any(op, post, s);
}

// bias may be null.
inline void prepare_depthwise(const OpToPrepare& op, const intrt_post_record& post, const Sizes& s,
                              const StoredWeights& stored, const int32_t* bias, void* to) {
  prepare_any(op, post, s, stored, bias, to);
}

inline void run_depthwise(const OpToRun& op, const intrt_post_record& post, const Sizes& s) {
  run_any(op, post, s);
}

}  // namespace
}  // namespace intrt
