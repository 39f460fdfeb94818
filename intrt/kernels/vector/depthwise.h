// Depthwise convolutions of bytes: which kernel takes which.
#pragma once

#include "intrt/kernels/vector/depthwise_3x3.h"

namespace intrt {
namespace {

// A slice is the output rows that the same stacks, or sets, serve.
inline size_t depthwise_slice_rows(const Sizes& s) {
  if (!Quartets3x3::fit(s)) return Columns(s).output_rows;
  const Quartets3x3 quartets(s);
  return quartets.stacks * quartets.output_rows;
}

inline size_t depthwise_bytes(const OpToPrepare& op, const intrt_post_record& post,
                              const Sizes& s) {
  return (Quartets3x3::fit(s) ? bytes_3x3 : bytes_of_any)(op, post, s);
}

// bias may be null.
inline void prepare_depthwise(const OpToPrepare& op, const intrt_post_record& post, const Sizes& s,
                              const StoredWeights& stored, const int32_t* bias, void* to) {
  (Quartets3x3::fit(s) ? prepare_3x3 : prepare_any)(op, post, s, stored, bias, to);
}

inline void run_depthwise(const OpToRun& op, const intrt_post_record& post, const Sizes& s) {
  (Quartets3x3::fit(s) ? run_3x3 : run_any)(op, post, s);
}

}  // namespace
}  // namespace intrt
