// Depthwise convolutions with 3x3 windows, a stride of 1 and 32 channels: as in depthwise_3x3.h,
// with pairs of pixels side by side in place of 64 channels. A window's first tap is a pair, its
// last one the next pair, and its middle one half of each.
#pragma once

#include "intrt/kernels/avx512vnni/depthwise_3x3.h"

namespace intrt {
namespace {

constexpr size_t kPairChannels = kOutputs / 2;

inline bool has_pairs(const Sizes& s) {
  return has_3x3_windows(s) && s.stride_w == 1 && s.channels == kPairChannels;
}

// The pairs of a row from the left to the right, for two output rows. kMasked: not all rows of the
// input that they need are there.
template <bool kMasked>
class Pairs3x3 {
 public:
  Pairs3x3(const Sizes& s, const DepthwiseHeader& header, const int8_t* input, size_t oy)
      : r_(s, Sets(s), header, input, 0, oy),
        row_codes_(static_cast<ptrdiff_t>(s.width * kPairChannels)),
        next_(-static_cast<ptrdiff_t>(s.left * kPairChannels)) {
    load(last_);
  }

  // The sums of the next Count pairs of both rows; these share each weight that is loaded.
  template <int Count>
  __attribute__((always_inline)) void next(Quads (&sums)[Count * 2]) {
    Quads quads[Count + 1];
    copy(last_, quads[0]);
    _Pragma("GCC unroll 2") for (int i = 1; i <= Count; ++i) load(quads[i]);
    copy(quads[Count], last_);
    _Pragma("GCC unroll 4") for (Quads& of_row : sums)
        _Pragma("GCC unroll 4") for (size_t q = 0; q < kRegisters; ++q) of_row[q] = r_.number(0, q);
    _Pragma("GCC unroll 3") for (int tap = 0; tap < 3; ++tap)
        _Pragma("GCC unroll 4") for (size_t q = 0; q < kRegisters; ++q) {
      __m512i weights[] = {r_.number(static_cast<size_t>(1 + 2 * tap), q),
                           r_.number(static_cast<size_t>(2 + 2 * tap), q)};
      if constexpr (Count > 1) in_register(weights[0]), in_register(weights[1]);
      _Pragma("GCC unroll 2") for (int i = 0; i < Count; ++i) {
        const __m512i codes = tap == 0   ? quads[i][q]
                              : tap == 1 ? _mm512_shuffle_i64x2(quads[i][q], quads[i + 1][q], 0x4E)
                                         : quads[i + 1][q];
        _Pragma("GCC unroll 2") for (int row = 0; row < 2; ++row) sums[2 * i + row][q] =
            _mm512_dpbusd_epi32(sums[2 * i + row][q], codes, weights[row]);
      }
    }
  }

 private:
  static void copy(const Quads& from, Quads& to) {
    _Pragma("GCC unroll 4") for (size_t q = 0; q < kRegisters; ++q) to[q] = from[q];
  }

  __attribute__((always_inline)) void load(Quads& quads) {
    constexpr ptrdiff_t kCodes = kOutputs;
    const ptrdiff_t at = next_, rest = row_codes_ - at;
    next_ += kCodes;
    if (at >= 0 && rest >= kCodes) {
      load_quads<2, kMasked>(r_, at, ~uint64_t{0}, quads);
    } else if (at <= -kCodes || rest <= 0) {
      for (__m512i& of_zeros : quads) of_zeros = r_.flip;
    } else {
      const __mmask64 behind_left = ~uint64_t{0} << (at < 0 ? -at : 0);
      const __mmask64 before_right = ~uint64_t{0} >> (rest < kCodes ? kCodes - rest : 0);
      load_quads<2, true>(r_, at, behind_left & before_right, quads);
    }
  }

  const SetRows r_;
  const ptrdiff_t row_codes_;
  ptrdiff_t next_;  // code of the row that is loaded next
  Quads last_;      // that were loaded
};

// Two output rows.
template <bool kMasked, typename Store>
inline void run_pairs_of_rows(const OpToRun& op, const Sizes& s, size_t oy, const Store store) {
  const DepthwiseHeader& header = *static_cast<const DepthwiseHeader*>(op.prepared);
  const size_t outputs = s.output_width * kPairChannels;  // of a row
  constexpr __mmask64 kAll = ~uint64_t{0};
  SetPlaces places = {outputs, kOutputs, {kAll, oy + 1 < s.output_height ? kAll : 0}};
  Pairs3x3<kMasked> pairs(s, header, static_cast<const int8_t*>(op.input_data), oy);
  size_t element = oy * outputs, left = outputs;
  for (; left >= 2 * kOutputs; left -= 2 * kOutputs, element += 2 * kOutputs) {
    Quads sums[4];
    pairs.template next<2>(sums);
    store.template put<2, kMasked>(sums, element, places);
  }
  for (; left > 0; element += kOutputs) {
    const size_t count = left < kOutputs ? left : kOutputs;
    for (__mmask64& lanes : places.lanes) lanes &= kAll >> (kOutputs - count);
    left -= count;
    Quads sums[2];
    pairs.template next<1>(sums);
    store.template put<2, true>(sums, element, places);
  }
}

inline void run_pairs(const OpToRun& op, const intrt_post_record& post, const Sizes& s) {
  const PostTarget target = {op, post};
  const PostLanes* posts = static_cast<const DepthwiseHeader*>(op.prepared)->all_posts();
  const auto run = [&](const auto store) {
    for (size_t step = op.slices.begin; step < op.slices.end; ++step) {
      const size_t oy = 2 * step;
      const bool whole = oy + 2 <= s.output_height && oy >= s.top && oy + 4 <= s.top + s.height;
      (whole ? run_pairs_of_rows<false, decltype(store)>
             : run_pairs_of_rows<true, decltype(store)>)(op, s, oy, store);
    }
  };
  const bool stored = PostLanes::with_packer<4>(
      posts, [&](const auto& packer) { run(codes_with(packer, target.bytes())); });
  if (!stored) run(StoreAny{posts, target});
}

}  // namespace
}  // namespace intrt
