// What kernels of this variant share: a post record at work on 16 accumulators at a time.
#pragma once

#include <immintrin.h>

#include "intrt/kernels/kernel.h"

namespace intrt {
namespace {  // compiled for this variant's instructions, so nothing may be shared with other files

constexpr uint32_t kLanes = 16;
// Sums are put aside for as many places before they are brought to codes.
constexpr size_t kSumsAtOnce = 32;

inline __mmask16 first_lanes(uint32_t count) { return static_cast<__mmask16>((1u << count) - 1u); }

// Of `count` channels beginning with `channel`: what becomes of their accumulators.
class PostLanes {
 public:
  PostLanes(const OpToRun& op, const intrt_post_record& post, uint32_t channel, uint32_t count)
      : op_(op), post_(post), channel_(channel), count_(count), lanes_(first_lanes(count)) {
    if (post.kind == INTRT_POST_SHIFT) load_shifts();
    if (post.kind == INTRT_POST_SCALE) load_scales();
  }

  // Sums of the channels at `count` places, 16 numbers for each, aligned to 64: to the elements
  // from `element` on, `step` apart.
  __attribute__((noinline)) void store(const int32_t* sums, size_t count, size_t element,
                                       size_t step) const {
    if (one_by_one_) {
      for (size_t i = 0; i < count; ++i) store_one_by_one(sums + i * kLanes, element + i * step);
    } else if (post_.kind == INTRT_POST_SHIFT && post_.rounding == INTRT_ROUND_TOWARD_ZERO &&
               is_plain()) {
      const __m512i left = _mm512_sub_epi32(_mm512_set1_epi32(32), shifts_);
      store_bytes(sums, count, element, step, [shifts = shifts_, left](__m512i x) {
        return shift_toward_zero(x, shifts, left);
      });
    } else if (has_high_scales_ && is_plain()) {
      if (post_.rounding == INTRT_ROUND_TOWARD_ZERO)
        store_bytes(sums, count, element, step, [this](__m512i x) { return scale_high<true>(x); });
      else
        store_bytes(sums, count, element, step, [this](__m512i x) { return scale_high<false>(x); });
    } else {
      for (size_t i = 0; i < count; ++i)
        store_any(_mm512_load_si512(sums + i * kLanes), element + i * step);
    }
  }

 private:
  // Bytes without a mask.
  bool is_plain() const { return post_.mask_offset == 0 && op_.output.type == INTRT_INT8; }
  template <typename F>
  void store_bytes(const int32_t* sums, size_t count, size_t element, size_t step,
                   const F& code_of) const {
    const __m512i lo = lo_, hi = hi_;
    const __mmask16 lanes = lanes_;
    int8_t* to = static_cast<int8_t*>(op_.output_data) + element;
    for (size_t i = 0; i < count; ++i, to += step) {
      const __m512i code = code_of(_mm512_load_si512(sums + i * kLanes));
      _mm512_mask_cvtepi32_storeu_epi8(to, lanes, _mm512_min_epi32(_mm512_max_epi32(code, lo), hi));
    }
  }

  void store_any(__m512i acc, size_t element) const {
    if (post_.kind == INTRT_POST_SHIFT) acc = shift(acc);
    if (post_.kind == INTRT_POST_SCALE) acc = scale(acc);
    if (post_.mask_offset != 0) acc = _mm512_maskz_mov_epi32(kept(element), acc);
    const uint32_t type = op_.output.type;
    if (type == INTRT_INT8)
      _mm512_mask_cvtepi32_storeu_epi8(static_cast<int8_t*>(op_.output_data) + element, lanes_,
                                       acc);
    else if (type == INTRT_INT16)
      _mm512_mask_cvtepi32_storeu_epi16(static_cast<int16_t*>(op_.output_data) + element, lanes_,
                                        acc);
    else
      _mm512_mask_storeu_epi32(static_cast<int32_t*>(op_.output_data) + element, lanes_, acc);
  }

  template <typename T>
  const T* array(uint32_t offset) const {
    return object_at<T>(op_.plan, offset);
  }

  void load_shifts() {
    const int8_t* shifts = array<int8_t>(post_.shifts_offset);
    if (post_.shift_count == 1) {
      shifts_ = _mm512_set1_epi32(shifts[0]);
    } else {
      const __m128i bytes = _mm_maskz_loadu_epi8(lanes_, shifts + channel_);
      shifts_ = _mm512_cvtepi8_epi32(bytes);
    }
    lo_ = _mm512_set1_epi32(post_.lo);
    hi_ = _mm512_set1_epi32(post_.hi);
    // Shifts to the left need 64 bits.
    one_by_one_ = _mm512_mask_cmplt_epi32_mask(lanes_, shifts_, _mm512_setzero_si512()) != 0;
  }

  // intrt_shift_right_toward_zero; left = 32 - shift.
  static __m512i shift_toward_zero(__m512i x, __m512i shift, __m512i left) {
    // 2^shift - 1 where x is negative; a shift by 32 leaves 0.
    const __m512i add = _mm512_srlv_epi32(_mm512_srai_epi32(x, 31), left);
    return _mm512_srav_epi32(_mm512_add_epi32(x, add), shift);
  }

  // intrt_shift_right and the clamp.
  __m512i shift(__m512i x) const {
    const __m512i ones = _mm512_set1_epi32(1);
    __m512i result;
    if (post_.rounding == INTRT_ROUND_TOWARD_ZERO) {
      result = shift_toward_zero(x, shifts_, _mm512_sub_epi32(_mm512_set1_epi32(32), shifts_));
    } else {
      result = _mm512_srav_epi32(x, shifts_);
      if (post_.rounding == INTRT_ROUND_HALF_EVEN) {
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

  void load_scales() {
    if (post_.starts_offset != 0) {
      const uint32_t* starts = array<uint32_t>(post_.starts_offset) + channel_;
      one_by_one_ = starts[count_] != starts[0];  // some channel has steps
    }
    if (one_by_one_) return;
    const __m512i multipliers =
        _mm512_maskz_loadu_epi32(lanes_, array<int32_t>(post_.multipliers_offset) + channel_);
    const __m512i limits = _mm512_maskz_loadu_epi32(
        lanes_, array<int16_t>(post_.limits_offset) + 2 * static_cast<size_t>(channel_));
    const __m128i shifts =
        _mm_maskz_loadu_epi8(lanes_, array<int8_t>(post_.shifts_offset) + channel_);
    const int64_t* addends = array<int64_t>(post_.addends_offset) + channel_;
    lo_ = _mm512_srai_epi32(_mm512_slli_epi32(limits, 16), 16);
    hi_ = _mm512_srai_epi32(limits, 16);
    multipliers_[0] = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(multipliers));
    multipliers_[1] = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(multipliers, 1));
    wide_shifts_[0] = _mm512_cvtepi8_epi64(shifts);
    wide_shifts_[1] = _mm512_cvtepi8_epi64(_mm_srli_si128(shifts, 8));
    const __mmask8 low = static_cast<__mmask8>(lanes_), high = static_cast<__mmask8>(lanes_ >> 8);
    addends_[0] = _mm512_maskz_loadu_epi64(low, addends);
    addends_[1] = _mm512_maskz_loadu_epi64(high, addends + (count_ > 8 ? 8 : 0));
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

  // intrt_scale_high, without the clamp.
  template <bool kTowardZero>
  __m512i scale_high(__m512i x) const {
    __m512i even = _mm512_add_epi64(_mm512_mul_epi32(x, high_multipliers_[0]), high_addends_[0]);
    __m512i odd = _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(x, 32), high_multipliers_[1]),
                                   high_addends_[1]);
    if (kTowardZero) {  // 2^32 - 1 where it is negative
      even = _mm512_add_epi64(even, _mm512_srli_epi64(_mm512_srai_epi64(even, 63), 32));
      odd = _mm512_add_epi64(odd, _mm512_srli_epi64(_mm512_srai_epi64(odd, 63), 32));
    }
    return _mm512_mask_mov_epi32(_mm512_srli_epi64(even, 32), 0xAAAA, odd);
  }

  // intrt_scale.
  __m512i scale(__m512i x) const {
    const __m256i low = wide(_mm512_castsi512_si256(x), 0);
    const __m256i high = wide(_mm512_extracti64x4_epi64(x, 1), 1);
    const __m512i result = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    return _mm512_min_epi32(_mm512_max_epi32(result, lo_), hi_);
  }
  // Saturated to 32 bits, within which the limits lie.
  __m256i wide(__m256i x, int half) const {
    __m512i y = _mm512_add_epi64(_mm512_mul_epi32(_mm512_cvtepi32_epi64(x), multipliers_[half]),
                                 addends_[half]);
    if (post_.rounding == INTRT_ROUND_TOWARD_ZERO) {
      const __m512i ones = _mm512_set1_epi64(1);
      const __m512i below = _mm512_sub_epi64(_mm512_sllv_epi64(ones, wide_shifts_[half]), ones);
      y = _mm512_add_epi64(y, _mm512_and_si512(_mm512_srai_epi64(y, 63), below));
    }
    return _mm512_cvtsepi64_epi32(_mm512_srav_epi64(y, wide_shifts_[half]));
  }

  __mmask16 kept(size_t element) const {
    const uint8_t* bytes = array<uint8_t>(post_.mask_offset) + element / 8;
    const uint32_t skip = static_cast<uint32_t>(element % 8);
    uint32_t bits = 0;
    for (uint32_t k = 0; 8 * k < skip + count_; ++k)
      bits |= static_cast<uint32_t>(bytes[k]) << (8 * k);
    return static_cast<__mmask16>(bits >> skip);
  }

  void store_one_by_one(const int32_t* values, size_t element) const {
    const PostOp post(op_, post_);
    for (uint32_t i = 0; i < count_; ++i) post.store(element + i, channel_ + i, values[i]);
  }

  const OpToRun& op_;
  const intrt_post_record& post_;
  uint32_t channel_, count_;
  __mmask16 lanes_;
  bool one_by_one_ = false, has_high_scales_ = false;
  __m512i shifts_{}, lo_{}, hi_{};
  __m512i multipliers_[2]{}, addends_[2]{}, wide_shifts_[2]{};
  __m512i high_multipliers_[2]{}, high_addends_[2]{};  // of even and of odd channels
};

// All channels of an operator's output fare alike.
inline bool channels_alike(const intrt_post_record& post) {
  return post.kind == INTRT_POST_NONE || (post.kind == INTRT_POST_SHIFT && post.shift_count == 1);
}

// The codes of up to 16 channels in 32 bits.
inline __m512i load_codes(const int8_t* codes, __mmask16 lanes) {
  return _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(lanes, codes));
}

}  // namespace
}  // namespace intrt
