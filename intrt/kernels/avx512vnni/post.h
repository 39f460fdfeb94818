// What kernels of this variant share: a post record at work on 16 accumulators at a time.
#pragma once

#include <immintrin.h>

#include "intrt/kernels/avx512vnni/float_scale.h"

namespace intrt {
namespace {  // compiled for this variant's instructions, so nothing may be shared with other files

constexpr uint32_t kLanes = 16;
constexpr size_t kDepth = 4;        // codes of a lane that vpdpbusd multiplies and adds up
using Weight = int8_t;              // prepared
constexpr bool kSumsPairs = false;  // all sums have 32 bits
// Sums are put aside for as many places before they are brought to codes.
constexpr size_t kSumsAtOnce = 32;

inline __mmask16 first_lanes(uint32_t count) { return static_cast<__mmask16>((1u << count) - 1u); }

// Of `count` elements side by side, of which the first is of `channel`: what becomes of their
// accumulators. Behind the last channel comes the first again. Points to nothing, so that it can be
// prepared.
class PostLanes {
 public:
  PostLanes(const OpToRun& op, const intrt_post_record& post, uint32_t channel, uint32_t count)
      : PostLanes({op.plan, post, op.output}, channel, count) {}
  // As in vector/post.h; all is in here.
  static size_t extras_bytes(const intrt_post_record&) { return 0; }
  // Takes more time to find what runs faster.
  PostLanes(const OpToPrepare& op, const intrt_post_record& post, uint32_t channel, uint32_t count,
            const void* = nullptr)
      : PostLanes({op.plan, post, op.output}, channel, count) {
    find_floats({op.plan, post, op.output});
  }

  // Into memory that was set to 0, so that what lies between the members is 0, too.
  static void* operator new(size_t, void* place) noexcept { return place; }

  // The first `count` of these elements.
  PostLanes first(uint32_t count) const {
    PostLanes some = *this;
    some.count_ = count;
    some.lanes_ = first_lanes(count);
    return some;
  }

  // Sums of the channels at `count` places, 16 numbers for each, aligned to 64: to the elements
  // from `element` on, `step` apart.
  void store(const PostTarget& target, const int32_t* sums, size_t count, size_t element,
             size_t step) const {
    store_blocks<1>(this, target, sums, count, element, step);
  }

  // The same for V blocks of channels beside each other, of which only the last may have fewer than
  // 16: sums of all blocks for the first place, then for the next. `sums` has room for a multiple
  // of four blocks.
  template <int V>
  static void store_blocks(const PostLanes* posts, const PostTarget& target, const int32_t* sums,
                           size_t count, size_t element, size_t step);

  // Turns sums into bytes; F is one of the functions below.
  template <int V, typename F>
  class Packer;
  struct IntegerLimits {
    static __m512i lo(const PostLanes& post) { return post.lo_; }
    static __m512i hi(const PostLanes& post) { return post.hi_; }
  };
  struct ShiftDown;
  struct ShiftToZero;
  template <bool kTowardZero>
  struct ScaleHigh;
  template <bool kTowardZero, bool kExcept>
  struct ScaleFloat;
  // There is one that does all.
  template <int V>
  static bool have_packer(const PostLanes* posts);
  // Calls run with the packer of the blocks; false when they have none.
  template <int V, typename Run>
  static bool with_packer(const PostLanes* posts, const Run& run);
  // The constants of the packer of four blocks are brought in the order of sums whose quarters are
  // transposed. After it these blocks are good for nothing else.
  static void transpose_constants(PostLanes* posts);

 private:
  // How the codes of bytes come about, apart from their clamp; kOther: in another way.
  enum class Form : uint32_t {  // floats last
    kOther,
    kShiftDown,
    kShiftToZero,
    kScaleDown,
    kScaleToZero,
    kFloatDown,
    kFloatToZero,
    kFloatDownExcept,  // with an exception in some channel
    kFloatToZeroExcept
  };

  struct Source {
    const intrt_plan& plan;
    const intrt_post_record& post;
    const intrt_tensor_record& output;

    template <typename T>
    const T* array(uint32_t offset) const {
      return object_at<T>(plan, offset);
    }
  };

  static Form common(Form a, Form b);
  template <int V>
  static Form common_form(const PostLanes* posts);
  // Lanes of channels whose steps the form leaves out.
  template <int V>
  static uint32_t steps_left(const PostLanes* posts, Form form);
  template <int V, typename Run>
  static bool with_form(const PostLanes* posts, Form form, const Run& run);

  PostLanes(const Source& from, uint32_t channel, uint32_t count)
      : channel_(channel), count_(count), lanes_(first_lanes(count)) {
    if (from.post.kind == INTRT_POST_SHIFT) load_shifts(from);
    if (from.post.kind == INTRT_POST_SCALE) load_scales(from);
    if (!are_bytes(from)) return;
    const bool down = rounds_down(from.post);
    if (from.post.kind == INTRT_POST_SHIFT) form_ = down ? Form::kShiftDown : Form::kShiftToZero;
    if (has_high_scales_) form_ = down ? Form::kScaleDown : Form::kScaleToZero;
    best_form_ = form_;
  }

  bool are_bytes(const Source& from) const {
    return from.post.mask_offset == 0 && from.output.type == INTRT_INT8 && !one_by_one_ &&
           !has_left_shifts_ && from.post.rounding != INTRT_ROUND_HALF_EVEN;
  }
  // To zero comes to the same where what lies between -1 and 0 is clamped.
  bool rounds_down(const intrt_post_record& post) const {
    return post.rounding == INTRT_ROUND_FLOOR ||
           _mm512_mask_cmplt_epi32_mask(lanes_, lo_, _mm512_setzero_si512()) == 0;
  }

  void find_floats(const Source& from) {
    if (from.post.kind != INTRT_POST_SCALE || !are_bytes(from)) return;
    const bool down = rounds_down(from.post);
    if (!(down ? load_floats<false>(from) : load_floats<true>(from))) return;
    const bool excepts = _mm512_test_epi32_mask(float_changes_, float_changes_) != 0;
    best_form_ = down      ? excepts ? Form::kFloatDownExcept : Form::kFloatDown
                 : excepts ? Form::kFloatToZeroExcept
                           : Form::kFloatToZero;
  }

  // False: not for all channels.
  template <bool kTowardZero>
  bool load_floats(const Source& from) {
    alignas(64) float multipliers[kLanes] = {}, addends[kLanes] = {};
    alignas(64) int32_t lo[kLanes], hi[kLanes], exceptions[kLanes] = {}, changes[kLanes] = {};
    _mm512_store_si512(lo, lo_);
    _mm512_store_si512(hi, hi_);
    for (uint32_t i = 0; i < count_; ++i) {
      FloatScale scale;
      if (!find_float_scale_of<kTowardZero>(
              from.plan, from.post, (channel_ + i) % from.output.channels, 0, lo[i], hi[i], scale))
        return false;
      multipliers[i] = scale.multiplier;
      addends[i] = scale.addend;
      exceptions[i] = scale.exception;
      changes[i] = scale.change;
    }
    float_multipliers_ = _mm512_load_ps(multipliers);
    float_addends_ = _mm512_load_ps(addends);
    float_lo_ = _mm512_load_si512(lo);
    float_hi_ = _mm512_load_si512(hi);
    float_exceptions_ = _mm512_load_si512(exceptions);
    float_changes_ = _mm512_load_si512(changes);
    return true;
  }

  void store_any(const PostTarget& target, __m512i acc, size_t element) const {
    const intrt_post_record& post = target.post;
    if (post.kind == INTRT_POST_SHIFT) acc = shift(acc, post.rounding);
    if (post.kind == INTRT_POST_SCALE) acc = scale(acc, post.rounding);
    if (post.mask_offset != 0) acc = _mm512_maskz_mov_epi32(kept(target, element), acc);
    const uint32_t type = target.op.output.type;
    void* const to = target.op.output_data;
    if (type == INTRT_INT8)
      _mm512_mask_cvtepi32_storeu_epi8(static_cast<int8_t*>(to) + element, lanes_, acc);
    else if (type == INTRT_INT16)
      _mm512_mask_cvtepi32_storeu_epi16(static_cast<int16_t*>(to) + element, lanes_, acc);
    else
      _mm512_mask_storeu_epi32(static_cast<int32_t*>(to) + element, lanes_, acc);
  }

  void load_shifts(const Source& from) {
    const int8_t* shifts = from.array<int8_t>(from.post.shifts_offset);
    if (from.post.shift_count == 1) {
      shifts_ = _mm512_set1_epi32(shifts[0]);
    } else {
      shifts_ =
          _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(lanes_, Table(*this, from, shifts).values));
    }
    lo_ = _mm512_set1_epi32(from.post.lo);
    hi_ = _mm512_set1_epi32(from.post.hi);
    left_shifts_ =
        _mm512_max_epi32(_mm512_sub_epi32(_mm512_setzero_si512(), shifts_), _mm512_setzero_si512());
    shifts_ = _mm512_max_epi32(shifts_, _mm512_setzero_si512());
    const int32_t most = _mm512_mask_reduce_max_epi32(lanes_, left_shifts_);
    has_left_shifts_ = most > 0;
    one_by_one_ = has_left_shifts_ && !saturates(most, from.post.lo, from.post.hi);
  }

  // Shifts to the left, which may leave 32 bits; by 0 where there is none.
  __m512i shift_left(__m512i x) const {
    const __m512i lowest = _mm512_srav_epi32(_mm512_set1_epi32(INT32_MIN), left_shifts_),
                  highest = _mm512_srav_epi32(_mm512_set1_epi32(INT32_MAX), left_shifts_);
    return _mm512_sllv_epi32(_mm512_min_epi32(_mm512_max_epi32(x, lowest), highest), left_shifts_);
  }

  // intrt_shift_right_toward_zero; left = 32 - shift.
  static __m512i shift_toward_zero(__m512i x, __m512i shift, __m512i left) {
    // 2^shift - 1 where x is negative; a shift by 32 leaves 0.
    const __m512i add = _mm512_srlv_epi32(_mm512_srai_epi32(x, 31), left);
    return _mm512_srav_epi32(_mm512_add_epi32(x, add), shift);
  }

  // intrt_shift_right and the clamp.
  __m512i shift(__m512i x, uint32_t rounding) const {
    const __m512i ones = _mm512_set1_epi32(1);
    __m512i result;
    if (has_left_shifts_) x = shift_left(x);
    if (rounding == INTRT_ROUND_TOWARD_ZERO) {
      result = shift_toward_zero(x, shifts_, _mm512_sub_epi32(_mm512_set1_epi32(32), shifts_));
    } else {
      result = _mm512_srav_epi32(x, shifts_);
      if (rounding == INTRT_ROUND_HALF_EVEN) {
        const __m512i unit = _mm512_sllv_epi32(ones, shifts_);
        const __m512i dropped = _mm512_and_si512(x, _mm512_sub_epi32(unit, ones));
        const __m512i half = _mm512_srli_epi32(unit, 1);  // 0 where nothing is dropped
        const __mmask16 above = _mm512_cmpgt_epu32_mask(dropped, half);
        const __mmask16 tie = _mm512_cmpeq_epu32_mask(dropped, half) &
                              _mm512_test_epi32_mask(result, ones) &
                              _mm512_test_epi32_mask(half, half);
        result = _mm512_mask_add_epi32(result, above | tie, result, ones);
      }
    }
    return _mm512_min_epi32(_mm512_max_epi32(result, lo_), hi_);
  }

  // What a table says of the channels of the lanes.
  template <typename T>
  struct Table {
    const T* values;
    T around_the_end[kLanes];
    Table(const PostLanes& post, const Source& from, const T* of_channels)
        : values(of_channels + post.channel_) {
      if (post.channel_ + post.count_ <= from.output.channels) return;
      values = around_the_end;
      for (size_t i = 0; i < kLanes && i < post.count_; ++i)
        around_the_end[i] = of_channels[(post.channel_ + i) % from.output.channels];
    }
  };

  void load_scales(const Source& from) {
    const intrt_post_record& post = from.post;
    if (post.starts_offset != 0) {
      const uint32_t* starts = from.array<uint32_t>(post.starts_offset);
      const Table<uint32_t> begins(*this, from, starts), ends(*this, from, starts + 1);
      for (size_t i = 0; i < count_; ++i)
        if (begins.values[i] != ends.values[i])
          stepped_ = static_cast<__mmask16>(stepped_ | 1u << i);
    }
    // Channels with steps are left to load_floats or store_one_by_one.
    const __mmask16 lanes = static_cast<__mmask16>(lanes_ & ~stepped_);
    struct Pair {
      int16_t lo, hi;
    };
    const Table<int32_t> all_multipliers(*this, from, from.array<int32_t>(post.multipliers_offset));
    const Table<Pair> all_limits(*this, from, from.array<Pair>(post.limits_offset));
    const Table<int8_t> all_shifts(*this, from, from.array<int8_t>(post.shifts_offset));
    const Table<int64_t> all_addends(*this, from, from.array<int64_t>(post.addends_offset));
    const __m512i multipliers = _mm512_maskz_loadu_epi32(lanes, all_multipliers.values);
    const __m512i limits = _mm512_maskz_loadu_epi32(lanes, all_limits.values);
    const __m128i shifts = _mm_maskz_loadu_epi8(lanes, all_shifts.values);
    lo_ = _mm512_srai_epi32(_mm512_slli_epi32(limits, 16), 16);
    hi_ = _mm512_srai_epi32(limits, 16);
    multipliers_[0] = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(multipliers));
    multipliers_[1] = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(multipliers, 1));
    wide_shifts_[0] = _mm512_cvtepi8_epi64(shifts);
    wide_shifts_[1] = _mm512_cvtepi8_epi64(_mm_srli_si128(shifts, 8));
    const __mmask8 low = static_cast<__mmask8>(lanes), high = static_cast<__mmask8>(lanes >> 8);
    addends_[0] = _mm512_maskz_loadu_epi64(low, all_addends.values);
    addends_[1] = _mm512_maskz_loadu_epi64(high, all_addends.values + (count_ > 8 ? 8 : 0));
    load_high_scales(multipliers, _mm512_cvtepi8_epi32(shifts));
  }

  // Where all shifts can be made 32 by multiplying multiplier and addend, the result is the upper
  // half of the 64 bits.
  void load_high_scales(__m512i multipliers, __m512i shifts) {
    const __m512i more = _mm512_sub_epi32(_mm512_set1_epi32(32), shifts);
    const __m512i scaled = _mm512_sllv_epi32(multipliers, more);
    if (_mm512_mask_cmplt_epi32_mask(lanes_, more, _mm512_setzero_si512()) != 0 ||
        _mm512_mask_cmpneq_epi32_mask(lanes_, _mm512_srav_epi32(scaled, more), multipliers) != 0)
      return;
    __m512i wide[2];
    for (int half = 0; half < 2; ++half) {
      const __m512i by = _mm512_sub_epi64(_mm512_set1_epi64(32), wide_shifts_[half]);
      wide[half] = _mm512_sllv_epi64(addends_[half], by);
      // Back again, and below 2^62 in magnitude.
      if (_mm512_cmpneq_epi64_mask(_mm512_srav_epi64(wide[half], by), addends_[half]) != 0 ||
          _mm512_cmpneq_epi64_mask(_mm512_srai_epi64(wide[half], 62),
                                   _mm512_srai_epi64(wide[half], 63)) != 0)
        return;
    }
    has_high_scales_ = true;
    high_multipliers_[0] = scaled;
    high_multipliers_[1] = _mm512_srli_epi64(scaled, 32);
    const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14),
                  odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
    high_addends_[0] = _mm512_permutex2var_epi64(wide[0], even, wide[1]);
    high_addends_[1] = _mm512_permutex2var_epi64(wide[0], odd, wide[1]);
  }

  // intrt_scale.
  __m512i scale(__m512i x, uint32_t rounding) const {
    const __m256i low = wide(_mm512_castsi512_si256(x), 0, rounding);
    const __m256i high = wide(_mm512_extracti64x4_epi64(x, 1), 1, rounding);
    const __m512i result = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    return _mm512_min_epi32(_mm512_max_epi32(result, lo_), hi_);
  }
  // Saturated to 32 bits, within which the limits lie.
  __m256i wide(__m256i x, int half, uint32_t rounding) const {
    __m512i y = _mm512_add_epi64(_mm512_mul_epi32(_mm512_cvtepi32_epi64(x), multipliers_[half]),
                                 addends_[half]);
    if (rounding == INTRT_ROUND_TOWARD_ZERO) {
      const __m512i ones = _mm512_set1_epi64(1);
      const __m512i below = _mm512_sub_epi64(_mm512_sllv_epi64(ones, wide_shifts_[half]), ones);
      y = _mm512_add_epi64(y, _mm512_and_si512(_mm512_srai_epi64(y, 63), below));
    }
    return _mm512_cvtsepi64_epi32(_mm512_srav_epi64(y, wide_shifts_[half]));
  }

  __mmask16 kept(const PostTarget& target, size_t element) const {
    const uint8_t* bytes =
        object_at<uint8_t>(target.op.plan, target.post.mask_offset) + element / 8;
    const uint32_t skip = static_cast<uint32_t>(element % 8);
    uint32_t bits = 0;
    for (uint32_t k = 0; 8 * k < skip + count_; ++k)
      bits |= static_cast<uint32_t>(bytes[k]) << (8 * k);
    return static_cast<__mmask16>(bits >> skip);
  }

  // The elements of some lanes at `count` places, one after the other; sums of the places lie
  // sums_step numbers apart.
  // Flat: other files define PostOp's functions, too, and not for these instructions.
  __attribute__((flatten, noinline)) void store_one_by_one(const PostTarget& target, uint32_t lanes,
                                                           const int32_t* sums, size_t sums_step,
                                                           size_t count, size_t element,
                                                           size_t step) const {
    const PostOp post(target.op, target.post);
    const uint32_t channels = target.op.output.channels;
    for (uint32_t lane = 0; lane < count_; ++lane)
      if ((lanes >> lane & 1) != 0)
        for (size_t i = 0; i < count; ++i)
          post.store(element + i * step + lane, (channel_ + lane) % channels,
                     sums[i * sums_step + lane]);
  }

  uint32_t channel_, count_;
  __mmask16 lanes_, stepped_ = 0;  // stepped: of channels with steps
  bool one_by_one_ = false, has_left_shifts_ = false, has_high_scales_ = false;
  Form form_ = Form::kOther, best_form_ = Form::kOther;  // the first: of integers, but for steps
  __m512i shifts_{}, left_shifts_{}, lo_{}, hi_{};
  __m512i multipliers_[2]{}, addends_[2]{}, wide_shifts_[2]{};
  __m512i high_multipliers_[2]{}, high_addends_[2]{};  // of even and of odd channels
  __m512 float_multipliers_{}, float_addends_{};
  __m512i float_lo_{}, float_hi_{}, float_exceptions_{}, float_changes_{};
};

// For one run, as in vector/post.h.
class PostAlone {
 public:
  PostAlone(const OpToRun& op, const intrt_post_record& post, uint32_t channel, uint32_t count)
      : lanes_(op, post, channel, count) {}
  const PostLanes& lanes() const { return lanes_; }

 private:
  PostLanes lanes_;
};

// All channels of an operator's output fare alike.
inline bool channels_alike(const intrt_post_record& post) {
  return post.kind == INTRT_POST_NONE || (post.kind == INTRT_POST_SHIFT && post.shift_count == 1);
}

// How many channels a register has from this one on.
inline uint32_t lanes_from(size_t first, size_t channels) {
  return static_cast<uint32_t>(channels - first < kLanes ? channels - first : kLanes);
}

// The codes of up to 16 channels in 32 bits.
inline __m512i load_codes(const int8_t* codes, __mmask16 lanes) {
  return _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(lanes, codes));
}

inline __m512i load_codes(const int16_t* codes, __mmask16 lanes) {
  return _mm512_cvtepi16_epi32(_mm256_maskz_loadu_epi16(lanes, codes));
}

}  // namespace
}  // namespace intrt
