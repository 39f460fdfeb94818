// A post record on codes or accumulators. Include the variant's vector.h before.
#pragma once

#include "intrt/kernels/vector/post.h"

#include "intrt/kernels/vector/elementwise.h"

namespace intrt {
namespace {

bool takes(const OpToPrepare&) { return true; }

uint32_t slices(const OpToPrepare& op) {
  return element_slices(channels_alike(params_of<intrt_requantize_params>(op.record).post),
                        op.output);
}

template <typename X>
void requantize(const X* input, const Target& target, const PostLanes& post, size_t count,
                size_t element, size_t places, size_t step) {
  int32_t sums[kSumsAtOnce * kLanes];
  for (size_t now; places > 0; places -= now, element += now * step) {
    now = places < kSumsAtOnce ? places : kSumsAtOnce;
    const auto load_all = [&](size_t lanes) {
      for (size_t i = 0; i < now; ++i)
        store(sums + i * kLanes, load_widened(input + element + i * step, lanes));
    };
    if (count == kLanes)
      load_all(kLanes);
    else
      load_all(count);
    post.store(target, sums, now, element, step);
  }
}

void run(const OpToRun& op) {
  const intrt_post_record& record = params_of<intrt_requantize_params>(op.record).post;
  const Target target(op, record);
  for_each_block(op, record, channels_alike(record),
                 [&](const PostLanes& post, uint32_t, size_t count, size_t element, size_t places,
                     size_t step) {
                   const auto from = [&](const auto* input) {
                     requantize(input, target, post, count, element, places, step);
                   };
                   if (op.input.type == INTRT_INT32)
                     from(static_cast<const int32_t*>(op.input_data));
                   else
                     with_codes(op.input_data, op.input.type, from);
                 });
}

constexpr FastKernel kRequantize = {takes, run, nullptr, nullptr, slices};

}  // namespace
}  // namespace intrt
