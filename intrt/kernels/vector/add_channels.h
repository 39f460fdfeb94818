// What add.h calls, over the variant's vector.h, which is to be included before.
#pragma once

#include "intrt/kernels/vector/post.h"

namespace intrt {
namespace {

template <typename A, typename B>
void add_codes(const A* a, const B* b, const OpToRun& op, const PostLanes& post,
               const int32_t* multipliers, uint32_t first, uint32_t count, size_t start,
               size_t places, size_t step) {
  const Vector of_a = load_some(multipliers + first, count);
  const Vector of_b = load_some(multipliers + op.output.channels + first, count);
  const Target target(op, params_of<intrt_add_params>(op.record).post);
  int32_t sums[kSumsAtOnce * kLanes];
  while (places > 0) {
    const size_t now = places < kSumsAtOnce ? places : kSumsAtOnce;
    const auto add_all = [&](size_t lanes) {
      for (size_t i = 0; i < now; ++i)
        store(sums + i * kLanes, add(multiply(load_widened(a + i * step, lanes), of_a),
                                     multiply(load_widened(b + i * step, lanes), of_b)));
    };
    if (count == kLanes)
      add_all(kLanes);
    else
      add_all(count);
    post.store(target, sums, now, start, step);
    a += now * step;
    b += now * step;
    start += now * step;
    places -= now;
  }
}

// `places` times `count` channels from `first` on, `step` elements apart.
void add_channels(const OpToRun& op, const PostLanes& post, const int32_t* multipliers,
                  uint32_t first, uint32_t count, size_t start, size_t places, size_t step) {
  with_codes(op.input_data_at(0), op.input.type, [&](const auto* a) {
    with_codes(op.input_data_at(1), op.input_at(1).type, [&](const auto* b) {
      add_codes(a + start, b + start, op, post, multipliers, first, count, start, places, step);
    });
  });
}

}  // namespace
}  // namespace intrt
