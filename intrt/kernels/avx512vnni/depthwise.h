// Depthwise convolutions: which kernel takes which.
#pragma once

#include "intrt/kernels/avx512vnni/depthwise_3x3_pairs.h"
#include "intrt/kernels/avx512vnni/depthwise_any.h"

namespace intrt {
namespace {

inline uint32_t depthwise_slices(const Sizes& s) {
  const size_t rows = rows_of_quads(s);
  return static_cast<uint32_t>((s.output_height + rows - 1) / rows);
}

inline bool is_3x3(const Sizes& s) { return Sets::fit(s) || has_pairs(s); }

inline size_t depthwise_bytes(const Sizes& s) { return is_3x3(s) ? bytes_3x3(s) : bytes_of_any(s); }

// bias may be null.
inline void prepare_depthwise(const OpToPrepare& op, const intrt_post_record& post, const Sizes& s,
                              const StoredWeights& stored, const int32_t* bias, void* to) {
  (is_3x3(s) ? prepare_3x3 : prepare_any)(op, post, s, stored, bias, to);
}

inline void run_depthwise(const OpToRun& op, const intrt_post_record& post, const Sizes& s) {
  (Sets::fit(s) ? run_3x3 : has_pairs(s) ? run_pairs : run_any)(op, post, s);
}

}  // namespace
}  // namespace intrt
