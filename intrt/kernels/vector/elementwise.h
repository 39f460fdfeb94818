// Operators that make each element of those in its place, and their slices. Each element is read
// before the one in its place is written, so the output may lie exactly on an input. Include the
// variant's PostAlone before.
#pragma once

#include "intrt/kernels/kernel.h"

namespace intrt {
namespace {

// A slice is a row or, of one row whose channels are alike (is_flat), some elements.
inline size_t slice_elements(bool is_flat, const intrt_tensor_record& output) {
  constexpr size_t kSome = 64;
  return is_flat && output.height == 1 ? kSome : size_t{output.width} * output.channels;
}
inline uint32_t element_slices(bool is_flat, const intrt_tensor_record& output) {
  const size_t of_slice = slice_elements(is_flat, output);
  return static_cast<uint32_t>((element_count(output) + of_slice - 1) / of_slice);
}

// The elements of the slices.
struct Elements {
  size_t begin, end;

  Elements(const OpToRun& op, bool is_flat) {
    const size_t all = static_cast<size_t>(element_count(op.output));
    const size_t of_slice = slice_elements(is_flat, op.output);
    begin = op.slices.begin * of_slice;
    end = op.slices.end * of_slice;
    if (end > all) end = all;
  }
};

// Calls f(posts, channel, count, element, places, step) for all elements of the slices: `count`
// <= kLanes channels from `channel` on, at so many places, `step` elements apart; the first is
// `element`. is_flat: whatever channels they are, kLanes elements at a time.
template <typename F>
inline void for_each_block(const OpToRun& op, const intrt_post_record& post, bool is_flat,
                           const F& f) {
  const Elements elements(op, is_flat);
  if (is_flat) {
    const size_t count = elements.end - elements.begin;
    f(PostAlone(op, post, 0, kLanes).lanes(), 0, kLanes, elements.begin, count / kLanes, kLanes);
    const uint32_t rest = static_cast<uint32_t>(count % kLanes);
    if (rest > 0) f(PostAlone(op, post, 0, rest).lanes(), 0, rest, elements.end - rest, 1, 0);
    return;
  }
  const uint32_t channels = op.output.channels;
  for (uint32_t first = 0; first < channels; first += kLanes) {
    const uint32_t count = lanes_from(first, channels);
    f(PostAlone(op, post, first, count).lanes(), first, count, elements.begin + first,
      (elements.end - elements.begin) / channels, channels);
  }
}

}  // namespace
}  // namespace intrt
