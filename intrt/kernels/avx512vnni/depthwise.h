// Depthwise convolutions: which kernel takes which.
#pragma once

#include "intrt/kernels/avx512vnni/depthwise_3x3_tail.h"
#include "intrt/kernels/avx512vnni/depthwise_any.h"

namespace intrt {
namespace {

// A slice is the output rows that the same quads serve.
inline size_t depthwise_slice_rows(const Sizes& s) { return rows_of_quads(s); }

inline size_t depthwise_bytes(const OpToPrepare&, const intrt_post_record&, const Sizes& s) {
  return Sets::fit(s) ? bytes_3x3(s) : bytes_of_any(s);
}

// bias may be null.
inline void prepare_depthwise(const OpToPrepare& op, const intrt_post_record& post, const Sizes& s,
                              const StoredWeights& stored, const int32_t* bias, void* to) {
  (Sets::fit(s) ? prepare_3x3 : prepare_any)(op, post, s, stored, bias, to);
}

inline void run_3x3(const OpToRun& op, const intrt_post_record& post, const Sizes& s) {
  constexpr size_t kCachedBytes = 24 * 1024;  // of the input, which one set after the other reads
  const Sets sets(s);
  const PostTarget target = {op, post};
  const DepthwiseHeader& header = *static_cast<const DepthwiseHeader*>(op.prepared);
  const size_t slice_bytes = sets.output_rows * s.stride_h * s.width * s.channels;
  const uint32_t at_once = sets.count == 1 ? op.slices.end - op.slices.begin
                           : slice_bytes > kCachedBytes
                               ? 1
                               : static_cast<uint32_t>(kCachedBytes / slice_bytes);
  for (Slices some = op.slices; some.begin < op.slices.end; some.begin += at_once) {
    some.end = op.slices.end - some.begin < at_once ? op.slices.end : some.begin + at_once;
    for (size_t set = 0; set < sets.count; ++set) {
      const PostLanes* posts = header.all_posts() + kRegisters * set;
      const bool stored = PostLanes::with_packer<4>(posts, [&](const auto& packer) {
        if (sets.is_tail(set))
          run_tail(op, s, sets, some, groups_with(packer, target.bytes()));
        else
          run_set(op, s, sets, set, some, codes_with(packer, target.bytes()));
      });
      if (stored) continue;
      if (sets.is_tail(set))
        run_tail(op, s, sets, some, StoreAnyGroups{posts, target});
      else
        run_set(op, s, sets, set, some, StoreAny{posts, target});
    }
  }
}

inline void run_depthwise(const OpToRun& op, const intrt_post_record& post, const Sizes& s) {
  (Sets::fit(s) ? run_3x3 : run_any)(op, post, s);
}

}  // namespace
}  // namespace intrt
