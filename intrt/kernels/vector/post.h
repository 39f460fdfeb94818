// A post record at work on kLanes accumulators at a time. Include the variant's vector.h or wide.h
// before.
#pragma once

#include "intrt/kernels/kernel.h"

namespace intrt {
namespace {

// Sums are put aside for as many places before they are brought to codes.
constexpr size_t kSumsAtOnce = 32;

// `count` <= kLanes bytes.
inline Packed load_packed(const int8_t* from, size_t count) {
  Packed packed = 0;
  if (count == kLanes) {
    __builtin_memcpy(&packed, from, kLanes);
  } else {
    for (size_t i = 0; i < count; ++i)
      packed |= static_cast<Packed>(static_cast<uint8_t>(from[i])) << (8 * i);
  }
  return packed;
}
inline void store_packed(int8_t* to, Packed packed, size_t count) {
  if (count == kLanes) {
    __builtin_memcpy(to, &packed, kLanes);
  } else {
    for (size_t i = 0; i < count; ++i, packed >>= 8)
      to[i] = static_cast<int8_t>(static_cast<uint8_t>(packed));
  }
}

// The codes of `count` <= kLanes channels in 32 bits.
inline Vector load_widened(const int8_t* codes, size_t count) {
  return widen(load_packed(codes, count));
}

inline Vector load_widened(const int16_t* codes, size_t count) {
  int32_t numbers[kLanes] = {};
  for (size_t i = 0; i < count; ++i) numbers[i] = codes[i];
  return load(numbers);
}

// `count` <= kLanes numbers; 0 for the others.
inline Vector load_some(const int32_t* from, size_t count) {
  int32_t numbers[kLanes] = {};
  for (size_t i = 0; i < count; ++i) numbers[i] = from[i];
  return load(numbers);
}

// Of `count` channels beginning with `channel`: what becomes of their accumulators. Points to
// nothing, so that it can be prepared.
class PostLanes {
 public:
  // Op: OpToRun or OpToPrepare.
  template <typename Op>
  PostLanes(const Op& op, const intrt_post_record& post, uint32_t channel, uint32_t count)
      : channel_(channel),
        count_(count),
        is_plain_(post.mask_offset == 0 && op.output.type == INTRT_INT8) {
    if (post.kind == INTRT_POST_SHIFT) load_shifts(op.plan, post);
    if (post.kind == INTRT_POST_SCALE) load_scales(op.plan, post);
  }

  // Into memory that was set to 0, so that what lies between the members is 0, too.
  static void* operator new(size_t, void* place) noexcept { return place; }

  // The first `count` of these channels; more, where all channels fare alike.
  PostLanes first(uint32_t count) const {
    PostLanes some = *this;
    some.count_ = count;
    return some;
  }

  // Sums of the channels at `count` places, kLanes numbers for each: to the elements from `element`
  // on, `step` apart.
  __attribute__((noinline)) void store(const PostTarget& target, const int32_t* sums, size_t count,
                                       size_t element, size_t step) const {
    const intrt_post_record& post = target.post;
    const auto store_all = [&](const auto& code_of) {
      if (is_plain_)
        store_bytes(target, sums, count, element, step, code_of);
      else
        store_any(target, sums, count, element, step, code_of);
    };
    if (one_by_one_)
      store_one_by_one(target, sums, count, element, step);
    else if (post.kind == INTRT_POST_NONE)
      store_all([](Vector x) { return x; });
    else if (post.kind == INTRT_POST_SCALE && post.rounding == INTRT_ROUND_TOWARD_ZERO)
      store_scaled<true>(target, store_all);
    else if (post.kind == INTRT_POST_SCALE)
      store_scaled<false>(target, store_all);
    else if (has_left_shifts_)
      store_all([this, &post](Vector x) { return shift_either_way(x, post.rounding); });
    else if (post.rounding == INTRT_ROUND_TOWARD_ZERO)
      store_all([this](Vector x) { return shift_toward_zero(x); });
    else if (post.rounding == INTRT_ROUND_FLOOR)
      store_all([this](Vector x) { return shift_right(x, shifts_); });
    else
      store_all([this](Vector x) { return shift_half_even(x); });
  }

 private:
  // `code_of` gives a code that is not clamped yet. Limits of bytes are bytes, or there are none,
  // so saturated codes may be clamped instead.
  template <typename F>
  void store_bytes(const PostTarget& target, const int32_t* sums, size_t count, size_t element,
                   size_t step, const F& code_of) const {
    int8_t* to = target.bytes() + element;
    const auto code_at = [&](size_t i) { return code_of(load(sums + i * kLanes)); };
    size_t i = 0;
    if (count_ == kLanes) {
      const Packed4 lo = pack4(lo_, lo_, lo_, lo_), hi = pack4(hi_, hi_, hi_, hi_);
      for (; i + 4 <= count; i += 4, to += 4 * step)
        store4(to, step,
               clamped4(pack4(code_at(i), code_at(i + 1), code_at(i + 2), code_at(i + 3)), lo, hi));
    }
    for (; i < count; ++i, to += step) store_packed(to, pack(clamped(code_at(i))), count_);
  }

  template <typename F>
  void store_any(const PostTarget& target, const int32_t* sums, size_t count, size_t element,
                 size_t step, const F& code_of) const {
    const OpToRun& op = target.op;
    const Mask mask(op.plan, target.post.mask_offset);
    const bool all_kept = target.post.mask_offset == 0;
    for (size_t i = 0; i < count; ++i, element += step) {
      int32_t codes[kLanes];
      intrt::store(codes, clamped(code_of(load(sums + i * kLanes))));
      if (all_kept && op.output.type == INTRT_INT16) {
        store_words(static_cast<int16_t*>(op.output_data) + element, codes);
        continue;
      }
      for (size_t lane = 0; lane < count_; ++lane)
        store_code(op.output_data, op.output.type, element + lane,
                   mask.keeps(element + lane) ? codes[lane] : 0);
    }
  }
  void store_words(int16_t* to, const int32_t (&codes)[kLanes]) const {
    // With a constant number of lanes the compiler makes one store of them.
    if (count_ == kLanes)
      for (size_t lane = 0; lane < kLanes; ++lane) to[lane] = static_cast<int16_t>(codes[lane]);
    else
      for (size_t lane = 0; lane < count_; ++lane) to[lane] = static_cast<int16_t>(codes[lane]);
  }

  // Flat: other files define PostOp's functions, too, and not for these instructions.
  __attribute__((flatten)) void store_one_by_one(const PostTarget& target, const int32_t* sums,
                                                 size_t count, size_t element, size_t step) const {
    const PostOp post(target.op, target.post);
    for (size_t i = 0; i < count; ++i, sums += kLanes, element += step)
      for (uint32_t lane = 0; lane < count_; ++lane)
        post.store(element + lane, channel_ + lane, sums[lane]);
  }

  void load_shifts(const intrt_plan& plan, const intrt_post_record& post) {
    const int8_t* from = object_at<int8_t>(plan, post.shifts_offset);
    int32_t shifts[kLanes] = {}, left[kLanes], below[kLanes], half[kLanes];
    int32_t left_shifts[kLanes] = {};
    const bool alike = post.shift_count == 1;  // behind `count`, too
    for (size_t i = 0; i < (alike ? kLanes : count_); ++i) {
      shifts[i] = from[alike ? 0 : channel_ + i];
      if (shifts[i] >= 0) continue;
      left_shifts[i] = -shifts[i];
      shifts[i] = 0;
      has_left_shifts_ = true;
      if (!saturates(left_shifts[i], post.lo, post.hi)) one_by_one_ = true;
    }
    if (one_by_one_) return;
    left_shifts_ = load(left_shifts);
    for (size_t i = 0; i < kLanes; ++i) {
      left[i] = 32 - shifts[i];
      below[i] = (int32_t{1} << shifts[i]) - 1;
      half[i] = shifts[i] == 0 ? 1 : int32_t{1} << (shifts[i] - 1);
    }
    shifts_ = load(shifts);
    left_ = load(left);
    below_ = load(below);
    half_ = load(half);
    lo_ = all(post.lo);
    hi_ = all(post.hi);
  }

  template <bool kTowardZero, typename StoreAll>
  void store_scaled(const PostTarget& target, const StoreAll& store_all) const {
    if (steps_.most == 0)
      store_all([this](Vector x) { return scale_.of<kTowardZero>(x); });
    else
      store_all([&](Vector x) { return with_steps(target, x, scale_.of<kTowardZero>(x)); });
  }

  // `codes`, and those of channels with steps: intrt_step for all lanes at once, in searches that
  // do not wait for each other.
  Vector with_steps(const PostTarget& target, Vector x, Vector codes) const {
    const intrt_plan& plan = target.op.plan;
    const int32_t* thresholds = object_at<int32_t>(plan, target.post.thresholds_offset);
    const int16_t* codes_of_steps = object_at<int16_t>(plan, target.post.codes_offset);
    int32_t numbers[kLanes], results[kLanes];
    uint32_t passed[kLanes] = {};  // thresholds that are not above the number
    intrt::store(numbers, x);
    intrt::store(results, codes);
    for (uint32_t more = steps_.most; more > 0; more /= 2)
      for (size_t lane = 0; lane < kLanes; ++lane) {
        const uint32_t next = passed[lane] + more;
        // Where it is not, a threshold that is there is read, and not heeded.
        const bool is_there = next <= steps_.counts[lane];
        const bool is_passed =
            thresholds[steps_.starts[lane] + (is_there ? next - 1 : 0)] <= numbers[lane];
        passed[lane] = is_there && is_passed ? next : passed[lane];
      }
    for (uint32_t lane = 0; lane < count_; ++lane)
      if (steps_.counts[lane] != 0)
        results[lane] = codes_of_steps[steps_.starts[lane] + channel_ + lane + passed[lane]];
    return load(results);
  }

  void load_scales(const intrt_plan& plan, const intrt_post_record& post) {
    if (post.starts_offset != 0) {
      const uint32_t* starts = object_at<uint32_t>(plan, post.starts_offset) + channel_;
      for (size_t i = 0; i < count_; ++i) {
        const uint32_t count = starts[i + 1] - starts[i];
        if (count == 0) continue;
        steps_.starts[i] = starts[i];
        steps_.counts[i] = count;
        if (steps_.most == 0) steps_.most = 1;
        while (2 * steps_.most <= count) steps_.most *= 2;
      }
    }
    const int32_t* multipliers_from = object_at<int32_t>(plan, post.multipliers_offset) + channel_;
    const int64_t* addends_from = object_at<int64_t>(plan, post.addends_offset) + channel_;
    const int8_t* shifts_from = object_at<int8_t>(plan, post.shifts_offset) + channel_;
    const int16_t* limits =
        object_at<int16_t>(plan, post.limits_offset) + 2 * static_cast<size_t>(channel_);
    int32_t multipliers[kLanes] = {}, shifts[kLanes] = {}, lo[kLanes] = {}, hi[kLanes] = {};
    int64_t addends[kLanes] = {};
    for (size_t i = 0; i < count_; ++i) {
      if (steps_.counts[i] != 0) {  // not clamped
        lo[i] = INT32_MIN;
        hi[i] = INT32_MAX;
        continue;
      }
      multipliers[i] = multipliers_from[i];
      addends[i] = addends_from[i];
      shifts[i] = shifts_from[i];
      lo[i] = limits[2 * i];
      hi[i] = limits[2 * i + 1];
    }
    scale_ = Scale(multipliers, addends, shifts);
    lo_ = load(lo);
    hi_ = load(hi);
  }

  // The shift to the left, which may leave 32 bits, comes first; of other lanes it is 0.
  Vector shift_either_way(Vector x, uint32_t rounding) const {
    const Vector lowest = shift_right(all(INT32_MIN), left_shifts_),
                 highest = shift_right(all(INT32_MAX), left_shifts_);
    const Vector moved = shift_left(least(greatest(x, lowest), highest), left_shifts_);
    return rounding == INTRT_ROUND_TOWARD_ZERO ? shift_toward_zero(moved)
           : rounding == INTRT_ROUND_FLOOR     ? shift_right(moved, shifts_)
                                               : shift_half_even(moved);
  }

  Vector clamped(Vector x) const { return least(greatest(x, lo_), hi_); }

  // intrt_shift_right_toward_zero: 2^shift - 1 where x is negative; a shift by 32 leaves 0.
  Vector shift_toward_zero(Vector x) const {
    const Vector more = shift_right_unsigned(shift_right(x, all(31)), left_);
    return shift_right(add(x, more), shifts_);
  }

  // intrt_shift_right_half_even: one more where what is dropped, plus 1 where the quotient is odd,
  // exceeds one half.
  Vector shift_half_even(Vector x) const {
    const Vector quotient = shift_right(x, shifts_);
    const Vector dropped = add(bits_in_both(x, below_), bits_in_both(quotient, all(1)));
    return subtract(quotient, greater(dropped, half_));
  }

  uint32_t channel_, count_;
  bool is_plain_;
  bool one_by_one_ = false, has_left_shifts_ = false;
  Vector shifts_{}, left_{};  // left: 32 - shift
  Vector below_{}, half_{};   // 2^shift - 1; half of 2^shift, or 1 where nothing is dropped
  Vector left_shifts_{};
  Vector lo_ = all(INT32_MIN), hi_ = all(INT32_MAX);
  Scale scale_;
  // Of channels with steps: the first threshold and how many there are; of all, the greatest power
  // of two up to the most thresholds, 0 where there are none.
  struct Steps {
    uint32_t starts[kLanes], counts[kLanes], most;
  } steps_{};
};

inline uint32_t lanes_from(size_t first, size_t channels) {
  const size_t left = channels - first;
  return static_cast<uint32_t>(left < kLanes ? left : kLanes);
}

// All channels of an operator's output fare alike.
inline bool channels_alike(const intrt_post_record& post) {
  return post.kind == INTRT_POST_NONE || (post.kind == INTRT_POST_SHIFT && post.shift_count == 1);
}

}  // namespace
}  // namespace intrt
