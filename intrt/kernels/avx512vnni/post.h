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

// Of `count` elements side by side, of which the first is of `channel`: what becomes of their
// accumulators. Behind the last channel comes the first again.
class PostLanes {
 public:
  PostLanes(const OpToRun& op, const intrt_post_record& post, uint32_t channel, uint32_t count)
      : op_(op), post_(post), channel_(channel), count_(count), lanes_(first_lanes(count)) {
    if (post.kind == INTRT_POST_SHIFT) load_shifts();
    if (post.kind == INTRT_POST_SCALE) load_scales();
  }

  // Sums of the channels at `count` places, 16 numbers for each, aligned to 64: to the elements
  // from `element` on, `step` apart.
  void store(const int32_t* sums, size_t count, size_t element, size_t step) const {
    store_blocks<1>(this, sums, count, element, step);
  }

  // The same for V blocks of channels beside each other, of which only the last may have fewer than
  // 16: sums of all blocks for the first place, then for the next. `sums` has room for a multiple
  // of four blocks.
  template <int V>
  static void store_blocks(const PostLanes* posts, const int32_t* sums, size_t count,
                           size_t element, size_t step);

  int8_t* bytes() const { return static_cast<int8_t*>(op_.output_data); }

  // Turns sums into bytes; F is one of the functions below.
  template <int V, typename F>
  class Packer;
  struct ShiftDown;
  struct ShiftToZero;
  template <bool kTowardZero>
  struct ScaleHigh;
  // Calls run with the packer of the blocks; false when there is none.
  template <int V, typename Run>
  static bool with_packer(const PostLanes* posts, const Run& run);

 private:
  // How the codes of bytes come about, apart from their clamp; kOther: in another way.
  enum class Form { kOther, kShiftDown, kShiftToZero, kScaleDown, kScaleToZero };

  Form form() const {
    if (post_.mask_offset != 0 || op_.output.type != INTRT_INT8 || one_by_one_) return Form::kOther;
    // What lies between -1 and 0 is clamped all the same.
    const bool down = post_.rounding == INTRT_ROUND_FLOOR ||
                      (post_.rounding == INTRT_ROUND_TOWARD_ZERO &&
                       _mm512_mask_cmplt_epi32_mask(lanes_, lo_, _mm512_setzero_si512()) == 0);
    if (!down && post_.rounding != INTRT_ROUND_TOWARD_ZERO) return Form::kOther;
    if (post_.kind == INTRT_POST_SHIFT) return down ? Form::kShiftDown : Form::kShiftToZero;
    if (!has_high_scales_) return Form::kOther;
    return down ? Form::kScaleDown : Form::kScaleToZero;
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
      shifts_ = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(lanes_, Table(*this, shifts).values));
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

  // What a table says of the channels of the lanes.
  template <typename T>
  struct Table {
    const T* values;
    T around_the_end[kLanes];
    Table(const PostLanes& post, const T* of_channels) : values(of_channels + post.channel_) {
      const size_t channels = post.op_.output.channels;
      if (post.channel_ + post.count_ <= channels) return;
      values = around_the_end;
      for (size_t i = 0; i < kLanes && i < post.count_; ++i)
        around_the_end[i] = of_channels[(post.channel_ + i) % channels];
    }
  };

  void load_scales() {
    if (post_.starts_offset != 0) {
      const uint32_t* starts = array<uint32_t>(post_.starts_offset);
      const Table<uint32_t> from(*this, starts), to(*this, starts + 1);
      for (size_t i = 0; i < count_; ++i)
        if (from.values[i] != to.values[i]) one_by_one_ = true;  // the channel has steps
    }
    if (one_by_one_) return;
    struct Pair {
      int16_t lo, hi;
    };
    const Table<int32_t> all_multipliers(*this, array<int32_t>(post_.multipliers_offset));
    const Table<Pair> all_limits(*this, array<Pair>(post_.limits_offset));
    const Table<int8_t> all_shifts(*this, array<int8_t>(post_.shifts_offset));
    const Table<int64_t> all_addends(*this, array<int64_t>(post_.addends_offset));
    const __m512i multipliers = _mm512_maskz_loadu_epi32(lanes_, all_multipliers.values);
    const __m512i limits = _mm512_maskz_loadu_epi32(lanes_, all_limits.values);
    const __m128i shifts = _mm_maskz_loadu_epi8(lanes_, all_shifts.values);
    lo_ = _mm512_srai_epi32(_mm512_slli_epi32(limits, 16), 16);
    hi_ = _mm512_srai_epi32(limits, 16);
    multipliers_[0] = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(multipliers));
    multipliers_[1] = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(multipliers, 1));
    wide_shifts_[0] = _mm512_cvtepi8_epi64(shifts);
    wide_shifts_[1] = _mm512_cvtepi8_epi64(_mm_srli_si128(shifts, 8));
    const __mmask8 low = static_cast<__mmask8>(lanes_), high = static_cast<__mmask8>(lanes_ >> 8);
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

  // Flat: other files define PostOp's functions, too, and not for these instructions.
  __attribute__((flatten)) void store_one_by_one(const int32_t* values, size_t element) const {
    const PostOp post(op_, post_);
    const uint32_t channels = op_.output.channels;
    for (uint32_t i = 0; i < count_; ++i)
      post.store(element + i, (channel_ + i) % channels, values[i]);
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

// intrt_shift_right_floor.
struct PostLanes::ShiftDown {
  __m512i shifts;
  explicit ShiftDown(const PostLanes& post) : shifts(post.shifts_) {}
  __m512i operator()(__m512i x) const { return _mm512_srav_epi32(x, shifts); }
};

struct PostLanes::ShiftToZero {
  __m512i shifts, left;
  explicit ShiftToZero(const PostLanes& post)
      : shifts(post.shifts_), left(_mm512_sub_epi32(_mm512_set1_epi32(32), shifts)) {}
  __m512i operator()(__m512i x) const { return shift_toward_zero(x, shifts, left); }
};

// intrt_scale_high.
template <bool kTowardZero>
struct PostLanes::ScaleHigh {
  __m512i multipliers[2], addends[2];  // of even and of odd channels
  explicit ScaleHigh(const PostLanes& post)
      : multipliers{post.high_multipliers_[0], post.high_multipliers_[1]},
        addends{post.high_addends_[0], post.high_addends_[1]} {}
  __m512i operator()(__m512i x) const {
    __m512i even = _mm512_add_epi64(_mm512_mul_epi32(x, multipliers[0]), addends[0]);
    __m512i odd =
        _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(x, 32), multipliers[1]), addends[1]);
    if (kTowardZero) {
      const __m512i below = _mm512_set1_epi64(0xFFFFFFFF);
      even = _mm512_mask_add_epi64(even, _mm512_movepi64_mask(even), even, below);
      odd = _mm512_mask_add_epi64(odd, _mm512_movepi64_mask(odd), odd, below);
    }
    return _mm512_mask_mov_epi32(_mm512_srli_epi64(even, 32), 0xAAAA, odd);
  }
};

// Four times 16 numbers, saturated to bytes, one after the other.
inline __m512i packed(__m512i a, __m512i b, __m512i c, __m512i d) {
  // Packing works in quarters of a register: quarter i has numbers 4i to 4i + 3 of each.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(
      order, _mm512_packs_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d)));
}

// The first `places` (at most 4 / V) of V * 16 bytes each, of which `lanes` are stored.
template <int V>
inline void store_places(int8_t* to, __m512i bytes, size_t places, size_t step, __mmask64 lanes) {
  constexpr int kPlaces = 4 / V;
  constexpr size_t kBytes = V * kLanes;
  constexpr __mmask64 kAll = ~uint64_t{0} >> (64 - kBytes);
  if (lanes == kAll && places == kPlaces && (V == 4 || step == kBytes)) {
    _mm512_storeu_si512(to, bytes);
    return;
  }
  _Pragma("GCC unroll 4") for (int i = 0; i < kPlaces; ++i) {
    if (static_cast<size_t>(i) >= places) return;
    int8_t* const place = to + static_cast<size_t>(i) * step;
    if constexpr (V == 1) {
      const __m128i part = i == 0   ? _mm512_castsi512_si128(bytes)
                           : i == 1 ? _mm512_extracti32x4_epi32(bytes, 1)
                           : i == 2 ? _mm512_extracti32x4_epi32(bytes, 2)
                                    : _mm512_extracti32x4_epi32(bytes, 3);
      if (lanes == kAll)
        _mm_storeu_si128(static_cast<__m128i_u*>(static_cast<void*>(place)), part);
      else
        _mm_mask_storeu_epi8(place, static_cast<__mmask16>(lanes), part);
    } else if constexpr (V == 2) {
      const __m256i part =
          i == 0 ? _mm512_castsi512_si256(bytes) : _mm512_extracti64x4_epi64(bytes, 1);
      if (lanes == kAll)
        _mm256_storeu_si256(static_cast<__m256i_u*>(static_cast<void*>(place)), part);
      else
        _mm256_mask_storeu_epi8(place, static_cast<__mmask32>(lanes), part);
    } else {
      _mm512_mask_storeu_epi8(place, lanes, bytes);
    }
  }
}

template <int V, typename F>
class PostLanes::Packer {
 public:
  static constexpr size_t kPlaces = 4 / V;  // at once

  explicit Packer(const PostLanes* posts)
      : forms_{F(posts[0]), F(posts[1 % V]), F(posts[2 % V]), F(posts[3 % V])},
        lo_(packed(posts[0].lo_, posts[1 % V].lo_, posts[2 % V].lo_, posts[3 % V].lo_)),
        hi_(packed(posts[0].hi_, posts[1 % V].hi_, posts[2 % V].hi_, posts[3 % V].hi_)),
        lanes_(~uint64_t{0} >> (64 - ((V - 1) * kLanes + posts[V - 1].count_))) {}

  // All blocks of the first place, then of the next; of kPlaces, or of fewer, `places`.
  __attribute__((always_inline)) void store(int8_t* to, size_t step, size_t places, __m512i a,
                                            __m512i b, __m512i c, __m512i d) const {
    const __m512i bytes =
        packed(forms_[0](a), forms_[1 % V](b), forms_[2 % V](c), forms_[3 % V](d));
    store_places<V>(to, _mm512_min_epi8(_mm512_max_epi8(bytes, lo_), hi_), places, step, lanes_);
  }

 private:
  F forms_[4];
  __m512i lo_, hi_;
  __mmask64 lanes_;
};

template <int V, typename Run>
__attribute__((always_inline)) inline bool PostLanes::with_packer(const PostLanes* posts,
                                                                  const Run& run) {
  Form form = posts[0].form();
  for (int v = 1; v < V; ++v)
    if (posts[v].form() != form) form = Form::kOther;
  switch (form) {
    case Form::kShiftDown:
      run(Packer<V, ShiftDown>(posts));
      return true;
    case Form::kShiftToZero:
      run(Packer<V, ShiftToZero>(posts));
      return true;
    case Form::kScaleDown:
      run(Packer<V, ScaleHigh<false>>(posts));
      return true;
    case Form::kScaleToZero:
      run(Packer<V, ScaleHigh<true>>(posts));
      return true;
    case Form::kOther:
      break;
  }
  return false;
}

template <int V>
__attribute__((noinline)) void PostLanes::store_blocks(const PostLanes* posts, const int32_t* sums,
                                                       size_t count, size_t element, size_t step) {
  const bool stored = with_packer<V>(
      posts, [=](const auto& packer) __attribute__((always_inline)) {
        constexpr size_t kPlaces = 4 / V;
        int8_t* to = posts->bytes() + element;
        const int32_t* from = sums;
        for (size_t i = 0; i < count; i += kPlaces, from += 4 * kLanes, to += kPlaces * step)
          packer.store(to, step, count - i < kPlaces ? count - i : kPlaces, _mm512_load_si512(from),
                       _mm512_load_si512(from + kLanes), _mm512_load_si512(from + 2 * kLanes),
                       _mm512_load_si512(from + 3 * kLanes));
      });
  if (stored) return;
  for (size_t i = 0; i < count; ++i)
    for (int v = 0; v < V; ++v, sums += kLanes) {
      const size_t at = element + i * step + static_cast<size_t>(v) * kLanes;
      if (posts[v].one_by_one_)
        posts[v].store_one_by_one(sums, at);
      else
        posts[v].store_any(_mm512_load_si512(sums), at);
    }
}

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

}  // namespace
}  // namespace intrt
