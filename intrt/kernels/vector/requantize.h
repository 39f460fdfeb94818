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

// Whether codes that are bytes are clamped and no more happens to them, as by a relu.
inline bool only_clamps(const OpToRun& op, const intrt_post_record& post) {
  return op.input.type == INTRT_INT8 && op.output.type == INTRT_INT8 &&
         post.kind == INTRT_POST_SHIFT && post.shift_count == 1 && post.mask_offset == 0 &&
         *object_at<int8_t>(op.plan, post.shifts_offset) == 0;
}

inline void clamp_bytes(const OpToRun& op, const intrt_post_record& post) {
  constexpr size_t kAtOnce = 4 * kLanes;
  const auto all4 = [](int32_t code) { return pack4(all(code), all(code), all(code), all(code)); };
  const Packed4 lo = all4(post.lo), hi = all4(post.hi);
  const Elements elements(op, channels_alike(post));
  const int8_t* from = static_cast<const int8_t*>(op.input_data) + elements.begin;
  int8_t* to = static_cast<int8_t*>(op.output_data) + elements.begin;
  size_t left = elements.end - elements.begin;
  // So many registers at a time.
  const auto clamp_some = [&](auto registers) {
    constexpr size_t kSome = decltype(registers)::value * kAtOnce;
    for (; left >= kSome; left -= kSome, from += kSome, to += kSome)
      _Pragma("GCC unroll 4") for (size_t i = 0; i < kSome; i += kAtOnce)
          store_packed4(to + i, clamped4(load_packed4(from + i), lo, hi));
  };
  clamp_some(Constant<size_t{4}>());
  clamp_some(Constant<size_t{1}>());
  for (; left > 0; --left, ++from, ++to)
    *to = static_cast<int8_t>(*from < post.lo ? post.lo : *from > post.hi ? post.hi : *from);
}

void run(const OpToRun& op) {
  const intrt_post_record& record = params_of<intrt_requantize_params>(op.record).post;
  if (only_clamps(op, record)) return clamp_bytes(op, record);
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
