// Depthwise convolutions with 3x3 windows: the 16 or 32 channels behind the sets of 64, of 4 or 2
// pixels side by side in place of 64 channels of one. All else is as in depthwise_3x3.h. Where a
// tap is another one of pixels that come later, its quads are shifted together from two registers.
#pragma once

#include "intrt/kernels/avx512vnni/depthwise_3x3.h"

namespace intrt {
namespace {

// Of the quads of two groups of pixels, one behind the other, those that begin Shift pixels behind
// the first.
template <int Pixels, int Shift>
inline __m512i pixels_further(__m512i a, __m512i b) {
  constexpr int kPixelLanes = 8 / Pixels;  // of 64 bits
  if constexpr (Shift == Pixels)
    return b;
  else
    return _mm512_alignr_epi64(b, a, kPixelLanes * Shift);
}

// Groups of pixels of a row from the left to the right, for the output rows that four rows of the
// input serve.
template <int Pixels, int Stride>
class GroupsOfPixels {
 public:
  static constexpr int kRows = 3 - Stride;  // of the output, at the same time

  explicit GroupsOfPixels(const WhichRows& rows) : r_(rows), column_(-r_.left) {
    load(column_, last_);
  }

  const SetRows& rows() const { return r_; }

  // The sums of the next Count groups; these share each weight that is loaded.
  template <int Count>
  __attribute__((always_inline)) void next(Quads (&sums)[Count * kRows]) {
    Quads groups[Count + 1];
    copy(last_, groups[0]);
    _Pragma("GCC unroll 2") for (int i = 1; i <= Count; ++i)
        load(column_ + i * Stride * Pixels, groups[i]);
    copy(groups[Count], last_);
    _Pragma("GCC unroll 4") for (Quads& of_row : sums)
        _Pragma("GCC unroll 4") for (size_t q = 0; q < kRegisters; ++q) of_row[q] = r_.number(0, q);
    add<0, Count>(sums, [&](int i, size_t q) { return groups[i][q]; });
    if constexpr (Stride == 1) {
      add<1, Count>(sums, [&](int i, size_t q) {
        return pixels_further<Pixels, 1>(groups[i][q], groups[i + 1][q]);
      });
      add<2, Count>(sums, [&](int i, size_t q) {
        return pixels_further<Pixels, 2>(groups[i][q], groups[i + 1][q]);
      });
    } else {
      add<2, Count>(sums, [&](int i, size_t q) {
        return pixels_further<Pixels, 1>(groups[i][q], groups[i + 1][q]);
      });
      Quads between[Count];
      _Pragma("GCC unroll 2") for (int i = 0; i < Count; ++i)
          load(column_ + i * Stride * Pixels + 1, between[i]);
      add<1, Count>(sums, [&](int i, size_t q) { return between[i][q]; });
    }
    column_ += Count * Stride * Pixels;
  }

 private:
  static void copy(const Quads& from, Quads& to) {
    _Pragma("GCC unroll 4") for (size_t q = 0; q < kRegisters; ++q) to[q] = from[q];
  }

  template <int Tap, int Count, typename Codes>
  __attribute__((always_inline)) void add(Quads (&sums)[Count * kRows], const Codes& codes) const {
    _Pragma("GCC unroll 4") for (size_t q = 0; q < kRegisters; ++q) {
      __m512i weights[kRows];
      _Pragma("GCC unroll 2") for (int row = 0; row < kRows; ++row) {
        weights[row] = r_.number(static_cast<size_t>(1 + kRows * Tap + row), q);
        if constexpr (Count > 1) in_register(weights[row]);
      }
      _Pragma("GCC unroll 2") for (int i = 0; i < Count; ++i) {
        const __m512i of_group = codes(i, q);
        _Pragma("GCC unroll 2") for (int row = 0; row < kRows; ++row) sums[kRows * i + row][q] =
            _mm512_dpbusd_epi32(sums[kRows * i + row][q], of_group, weights[row]);
      }
    }
  }

  // The quads of pixels `column`, `column` + Stride, and so on.
  __attribute__((always_inline)) void load(ptrdiff_t column, Quads& quads) const {
    constexpr ptrdiff_t kReach = Stride * (Pixels - 1);
    if (column >= 0 && column + kReach < static_cast<ptrdiff_t>(r_.width))
      load_rows<false>(column, quads);
    else
      load_rows<true>(column, quads);
  }

  // kSome: pixels outside the row are 0.
  template <bool kSome>
  __attribute__((always_inline)) void load_rows(ptrdiff_t column, Quads& quads) const {
    __mmask8 masks[Pixels];
    _Pragma("GCC unroll 4") for (int i = 0; i < Pixels; ++i) masks[i] =
        static_cast<size_t>(column + i * Stride) < r_.width ? 0xFF : 0;
    const ptrdiff_t at =
        column * static_cast<ptrdiff_t>(r_.channels) + static_cast<ptrdiff_t>(r_.first);
    const auto row = [&](int k) __attribute__((always_inline)) {
      return _mm512_mask_xor_epi32(r_.flip, static_cast<__mmask16>(r_.keep[k]),
                                   pixels<kSome>(r_.rows[k] + at, masks), r_.flip);
    };
    const __m512i a = row(0), b = row(1), c = row(2), d = kRows == 2 ? row(3) : c;
    interleave(a, b, c, d, quads);
  }

  template <bool kSome>
  __attribute__((always_inline)) __m512i pixels(const int8_t* codes,
                                                const __mmask8 (&masks)[Pixels]) const {
    const size_t step = Stride * r_.channels;
    if constexpr (Pixels == 2) {
      const auto pixel = [&](size_t i) __attribute__((always_inline)) {
        const void* const at = codes + i * step;
        return kSome ? _mm256_maskz_loadu_epi64(masks[i], at)
                     : _mm256_loadu_si256(static_cast<const __m256i_u*>(at));
      };
      return _mm512_inserti64x4(_mm512_castsi256_si512(pixel(0)), pixel(1), 1);
    } else {
      const auto pixel = [&](size_t i) __attribute__((always_inline)) {
        const void* const at = codes + i * step;
        return kSome ? _mm_maskz_loadu_epi64(masks[i], at)
                     : _mm_loadu_si128(static_cast<const __m128i_u*>(at));
      };
      __m512i all = _mm512_castsi128_si512(pixel(0));
      all = _mm512_inserti32x4(all, pixel(1), 1);
      all = _mm512_inserti32x4(all, pixel(2), 2);
      return _mm512_inserti32x4(all, pixel(3), 3);
    }
  }

  const SetRows r_;
  ptrdiff_t column_;  // of the first pixel of `last_`
  Quads last_;        // that were loaded
};

template <typename Packer>
struct StoreGroups {
  const Packer& packer;  // of transposed posts
  int8_t* to;

  template <int Pixels, int Rows, int Count>
  __attribute__((always_inline)) void put(Quads (&sums)[Count], size_t element, size_t pixels,
                                          const SetPlaces& places) const {
    constexpr int kBlocks = static_cast<int>(kRegisters) / Pixels;
    constexpr __mmask64 kAll = ~uint64_t{0} >> (kOutputs - kBlocks * kLanes);
    __m512i codes[Count];
    packer.codes_of_transposed(sums, codes);
    with_layout<kBlocks>(
        places.column, kAll, [&](auto layout) __attribute__((always_inline)) {
          _Pragma("GCC unroll 4") for (int i = 0; i < Count; ++i) {
            if (places.lanes[i % Rows] == 0) continue;
            const size_t group = static_cast<size_t>(i / Rows) * Pixels;
            store_places<kBlocks>(
                layout, to + element + group * places.column + (i % Rows == 0 ? 0 : places.row),
                codes[i], pixels - group, places.column, kAll);
          }
        });
  }
};

template <typename Packer>
inline StoreGroups<Packer> groups_with(const Packer& packer, int8_t* to) {
  return {packer, to};
}

// Any post, one block of 16 after the other.
struct StoreAnyGroups {
  const PostLanes* posts;
  const PostTarget& target;

  template <int Pixels, int Rows, int Count>
  void put(Quads (&sums)[Count], size_t element, size_t pixels, const SetPlaces& places) const {
    constexpr size_t kBlocks = kRegisters / Pixels;
    alignas(64) int32_t numbers[kLanes];
    for (size_t i = 0; i < Count; ++i) {
      if (places.lanes[i % Rows] == 0) continue;
      transpose_quarters(sums[i]);
      for (size_t v = 0; v < kRegisters; ++v) {
        const size_t pixel = i / Rows * Pixels + v / kBlocks;
        if (pixel >= pixels) break;
        _mm512_store_si512(numbers, sums[i][v]);
        posts[v].store(
            target, numbers, 1,
            element + i % Rows * places.row + pixel * places.column + v % kBlocks * kLanes, 0);
      }
    }
  }
};

template <int Pixels, int Stride, typename Store>
inline void run_groups(const WhichRows& rows, const Store store) {
  GroupsOfPixels<Pixels, Stride> groups(rows);
  constexpr int kAtOnce = 2, kRows = groups.kRows;
  const SetPlaces places = groups.rows().places;
  size_t element = groups.rows().element + groups.rows().first, left = rows.s.output_width;
  constexpr size_t kPixels = kAtOnce * Pixels;
  for (; left >= kPixels; left -= kPixels, element += kPixels * places.column) {
    Quads sums[kAtOnce * kRows];
    groups.template next<kAtOnce>(sums);
    store.template put<Pixels, kRows>(sums, element, kPixels, places);
  }
  while (left > 0) {
    Quads sums[kRows];
    groups.template next<1>(sums);
    const size_t pixels = left < Pixels ? left : Pixels;
    store.template put<Pixels, kRows>(sums, element, pixels, places);
    element += pixels * places.column;
    left -= pixels;
  }
}

// The tail in the rows of some slices.
template <typename Store>
inline void run_tail(const OpToRun& op, const Sizes& s, const Sets& sets, const Slices& slices,
                     const Store store) {
  const DepthwiseHeader& header = *static_cast<const DepthwiseHeader*>(op.prepared);
  const int8_t* input = static_cast<const int8_t*>(op.input_data);
  const auto run = sets.tail == 32
                       ? (s.stride_w == 1 ? run_groups<2, 1, Store> : run_groups<2, 2, Store>)
                       : (s.stride_w == 1 ? run_groups<4, 1, Store> : run_groups<4, 2, Store>);
  for (size_t step = slices.begin; step < slices.end; ++step)
    run({s, sets, header, input, sets.count - 1, step * sets.output_rows}, store);
}

}  // namespace
}  // namespace intrt
