// Depthwise convolutions with 3x3 windows, 64 channels at a time, from the input where it lies.
// Four rows of 64 codes become, in registers, four registers of quads: a quad has the codes of one
// channel and column, so that vpdpbusd adds up a column of the window. With a stride of 1 the same
// quads serve two output rows, with the weights moved down by one.
//
// Unpacking leaves quads, and so sums, with their quarters transposed: lane j of register q belongs
// to output 16 * (j / 4) + 4 * q + j % 4. Weights, biases and posts are in that order, and packing
// undoes it.
#pragma once

#include "intrt/kernels/avx512vnni/depthwise_header.h"

namespace intrt {
namespace {

constexpr size_t kOutputs = 64;     // at a time: a set
constexpr size_t kRegisters = 4;    // that quads, sums and weights of a set take
using Quads = __m512i[kRegisters];  // or sums

// 64 channels each. The last has fewer: `tail` of several pixels (depthwise_3x3_tail.h) or, where
// that is 0, those of one pixel.
struct Sets {
  size_t count, tail;
  size_t output_rows;  // that four rows of the input serve

  explicit Sets(const Sizes& s)
      : count((s.channels + kOutputs - 1) / kOutputs),
        tail(s.channels % kOutputs == 16 || s.channels % kOutputs == 32 ? s.channels % kOutputs
                                                                        : 0),
        output_rows(rows_of_quads(s)) {}

  static bool fit(const Sizes& s) {
    return s.kernel_h == 3 && s.kernel_w == 3 && s.dilation_h == 1 && s.dilation_w == 1 &&
           s.stride_h == s.stride_w && s.stride_w <= 2 && s.channels >= kOutputs / 2;
  }
  bool is_tail(size_t set) const { return tail != 0 && set + 1 == count; }
  // Behind the last channel of a tail comes its first again, else that of all.
  size_t channel(const Sizes& s, size_t output) const {
    const size_t set = output / kOutputs;
    return is_tail(set) ? set * kOutputs + output % kOutputs % tail : output % s.channels;
  }
};

// Of a set: biases, then for each tap of a row and each output row the weights.
inline size_t set_bytes(const Sets& sets) {
  return kRegisters * kVectorBytes * (1 + 3 * sets.output_rows);
}
inline size_t bytes_3x3(const Sizes& s) {
  const Sets sets(s);
  return sizeof(DepthwiseHeader) + sets.count * (kRegisters * sizeof(PostLanes) + set_bytes(sets));
}

// bias may be null.
inline void prepare_3x3(const OpToPrepare& op, const intrt_post_record& post, const Sizes& s,
                        const StoredWeights& stored, const int32_t* bias, void* to) {
  const Sets sets(s);
  DepthwiseHeader& header = *static_cast<DepthwiseHeader*>(to);
  header.bias = Bias(op.input_never_negative);
  header.post_count = static_cast<uint32_t>(kRegisters * sets.count);
  PostLanes* posts = static_cast<PostLanes*>(static_cast<void*>(&header + 1));
  for (size_t i = 0; i < header.post_count; ++i)
    new (posts + i)
        PostLanes(op, post, static_cast<uint32_t>(sets.channel(s, i * kLanes)), uint32_t{kLanes});
  for (size_t set = 0; set < sets.count; ++set)
    if (PostLanes::have_packer<4>(posts + kRegisters * set))
      PostLanes::transpose_constants(posts + kRegisters * set);
  uint8_t* numbers = static_cast<uint8_t*>(static_cast<void*>(posts + header.post_count));
  for (size_t i = 0; i < sets.count * set_bytes(sets); ++i) numbers[i] = 0;
  for (size_t output = 0; output < sets.count * kOutputs; ++output) {
    const size_t in_set = output % kOutputs;
    const size_t place = in_set % 16 / 4 * kLanes + in_set / 16 * 4 + in_set % 4;
    const size_t channel = sets.channel(s, output);
    uint8_t* const of_set = numbers + output / kOutputs * set_bytes(sets);
    StoredWeights::Row weights(stored, channel);
    uint32_t sum = 0;
    for (size_t ky = 0; ky < 3; ++ky)
      for (size_t kx = 0; kx < 3; ++kx) {
        const int32_t weight = weights.next();
        sum += static_cast<uint32_t>(weight);
        for (size_t row = 0; row < sets.output_rows; ++row)
          of_set[4 * ((1 + kx * sets.output_rows + row) * kOutputs + place) + ky + row] =
              static_cast<uint8_t>(weight);
      }
    const int32_t start = start_of(bias == nullptr ? 0 : bias[channel], sum, header.bias.value());
    __builtin_memcpy(of_set + 4 * place, &start, sizeof(start));
  }
}

// Where sums of several places go: how far rows and columns are apart; the lanes of each row that
// are outputs.
struct SetPlaces {
  size_t row, column;
  __mmask64 lanes[2];
};

// One set of outputs in the output rows from oy on that four rows of the input serve.
struct WhichRows {
  const Sizes& s;
  const Sets& sets;
  const DepthwiseHeader& header;
  const int8_t* input;
  size_t set, oy;

  // All rows that count are there, of the input and of the output, and 64 outputs.
  bool whole() const {
    const ptrdiff_t first = static_cast<ptrdiff_t>(oy * s.stride_h) - s.top;
    return (set + 1) * kOutputs <= s.channels && oy + sets.output_rows <= s.output_height &&
           first >= 0 && static_cast<size_t>(first) + 2 + sets.output_rows <= s.height;
  }
};

// The same, with nothing but values: what is reached through a pointer would be read again behind
// each byte that is stored.
struct SetRows {
  const int8_t* rows[4];
  __mmask64 keep[4];  // none of a row outside the input
  size_t channels, width, output_width;
  ptrdiff_t left;
  __m512i flip;
  const uint8_t* numbers;  // of the set
  size_t first;            // output of the set, in a row
  __mmask64 lanes;         // that are outputs of the set
  size_t element;          // of the first output row
  SetPlaces places;        // of a row that is not there, no lanes

  explicit SetRows(const WhichRows& which)
      : channels(which.s.channels),
        width(which.s.width),
        output_width(which.s.output_width),
        left(which.s.left),
        flip(which.header.bias.flip()),
        numbers(which.header.numbers() + which.set * set_bytes(which.sets)),
        first(which.set * kOutputs),
        lanes(channels - first >= kOutputs ? ~uint64_t{0}
                                           : (uint64_t{1} << (channels - first)) - 1),
        element(which.oy * output_width * channels),
        places{output_width * channels,
               channels,
               {lanes, which.oy + 1 < which.s.output_height ? lanes : 0}} {
    const Sizes& s = which.s;
    const ptrdiff_t y0 = static_cast<ptrdiff_t>(which.oy * s.stride_h) - s.top;
    for (size_t k = 0; k < 4; ++k) {
      const ptrdiff_t y = y0 + static_cast<ptrdiff_t>(k), end = static_cast<ptrdiff_t>(s.height);
      const ptrdiff_t near = y < 0 ? 0 : y < end ? y : end - 1;  // may be read
      rows[k] = which.input + static_cast<size_t>(near) * width * channels;
      keep[k] = near == y ? ~uint64_t{0} : 0;
    }
  }

  __m512i number(size_t which, size_t q) const {
    return _mm512_load_si512(numbers + (kRegisters * which + q) * kVectorBytes);
  }
};

// Quad i of the four registers, in the order above, gets byte i of each of four rows.
__attribute__((always_inline)) inline void interleave(__m512i a, __m512i b, __m512i c, __m512i d,
                                                      Quads& quads) {
  const __m512i low[] = {_mm512_unpacklo_epi8(a, b), _mm512_unpacklo_epi8(c, d)};
  const __m512i high[] = {_mm512_unpackhi_epi8(a, b), _mm512_unpackhi_epi8(c, d)};
  quads[0] = _mm512_unpacklo_epi16(low[0], low[1]);
  quads[1] = _mm512_unpackhi_epi16(low[0], low[1]);
  quads[2] = _mm512_unpacklo_epi16(high[0], high[1]);
  quads[3] = _mm512_unpackhi_epi16(high[0], high[1]);
}

// The quads of 64 codes of each row, from `at` on. Rows: of the output; one needs three of the
// input, and has a weight of 0 for the fourth.
template <int Rows, bool kMasked>
__attribute__((always_inline)) inline void load_quads(const SetRows& r, ptrdiff_t at,
                                                      __mmask64 lanes, Quads& quads) {
  const auto row = [&](int k) __attribute__((always_inline)) {
    const int8_t* const codes = r.rows[k] + at;
    return _mm512_xor_si512(
        kMasked ? _mm512_maskz_loadu_epi8(lanes & r.keep[k], codes) : _mm512_loadu_si512(codes),
        r.flip);
  };
  const __m512i a = row(0), b = row(1), c = row(2), d = Rows == 2 ? row(3) : c;
  interleave(a, b, c, d, quads);
}

// Columns from the left to the right: each is loaded once, and what the next windows need of it
// stays in registers.
template <int Rows, int Stride, bool kMasked>
struct Columns3x3 {
  static constexpr int kCarried = 3 - Stride;
  const SetRows r;
  Quads carried[kCarried];
  ptrdiff_t column;  // of the next window's first tap

  explicit Columns3x3(const WhichRows& rows) : r(rows), column(-r.left) {
    _Pragma("GCC unroll 2") for (int i = 0; i < kCarried; ++i) load(i, carried[i]);
  }

  __attribute__((always_inline)) void load(int i, Quads& quads) const {
    const ptrdiff_t at = column + i;
    if (static_cast<size_t>(at) < r.width)
      load_quads<Rows, kMasked>(
          r, at * static_cast<ptrdiff_t>(r.channels) + static_cast<ptrdiff_t>(r.first), r.lanes,
          quads);
    else
      for (__m512i& of_zeros : quads) of_zeros = r.flip;
  }

  // The sums of the next Count windows; these share each weight that is loaded.
  template <int Count>
  __attribute__((always_inline)) void next(Quads (&sums)[Count * Rows]) {
    Quads quads[Stride * (Count - 1) + 3];
    _Pragma("GCC unroll 2") for (int i = 0; i < kCarried; ++i)
        _Pragma("GCC unroll 4") for (size_t q = 0; q < kRegisters; ++q) quads[i][q] = carried[i][q];
    _Pragma("GCC unroll 2") for (int x = 0; x < Count; ++x)
        _Pragma("GCC unroll 2") for (int row = 0; row < Rows; ++row)
            _Pragma("GCC unroll 4") for (size_t q = 0; q < kRegisters; ++q)
                sums[x * Rows + row][q] = r.number(0, q);
    _Pragma("GCC unroll 3") for (int kx = 0; kx < 3; ++kx) {
      // Those that this tap is the first to need.
      _Pragma("GCC unroll 2") for (int x = 0; x < Count; ++x) if (Stride * x + kx >= kCarried &&
                                                                  (kx < Stride || x == Count - 1))
          load(Stride * x + kx, quads[Stride * x + kx]);
      _Pragma("GCC unroll 2") for (int row = 0; row < Rows; ++row)
          _Pragma("GCC unroll 4") for (size_t q = 0; q < kRegisters; ++q) {
        __m512i weights = r.number(static_cast<size_t>(1 + kx * Rows + row), q);
        if constexpr (Count > 1) in_register(weights);
        _Pragma("GCC unroll 2") for (int x = 0; x < Count; ++x) sums[x * Rows + row][q] =
            _mm512_dpbusd_epi32(sums[x * Rows + row][q], quads[Stride * x + kx][q], weights);
      }
    }
    _Pragma("GCC unroll 2") for (int i = 0; i < kCarried; ++i)
        _Pragma("GCC unroll 4") for (size_t q = 0; q < kRegisters; ++q) carried[i][q] =
            quads[Stride * Count + i][q];
    column += Stride * Count;
  }
};

// store.put<Rows, kMasked>(sums, element, places) takes sums of one column or of two, of each all
// rows. It is copied, so that it stays in registers.
template <int Rows, int Stride, bool kMasked, typename Store>
inline void run_columns(const WhichRows& rows, const Store store) {
  constexpr int kAtOnce = 2;
  Columns3x3<Rows, Stride, kMasked> columns(rows);
  const SetPlaces places = columns.r.places;
  size_t element = columns.r.element + columns.r.first, left = columns.r.output_width;
  for (; left >= kAtOnce; left -= kAtOnce, element += kAtOnce * places.column) {
    Quads sums[kAtOnce * Rows];
    columns.template next<kAtOnce>(sums);
    store.template put<Rows, kMasked>(sums, element, places);
  }
  if (left == 0) return;
  Quads sums[Rows];
  columns.template next<1>(sums);
  store.template put<Rows, kMasked>(sums, element, places);
}

template <bool kMasked, typename Store>
inline void run_set_rows(const WhichRows& rows, const Store store) {
  if (rows.sets.output_rows == 2)
    run_columns<2, 1, kMasked>(rows, store);
  else
    run_columns<1, 2, kMasked>(rows, store);
}

// The outputs of one set in the rows of some slices.
template <typename Store>
inline void run_set(const OpToRun& op, const Sizes& s, const Sets& sets, size_t set,
                    const Slices& slices, const Store store) {
  const DepthwiseHeader& header = *static_cast<const DepthwiseHeader*>(op.prepared);
  const int8_t* input = static_cast<const int8_t*>(op.input_data);
  for (size_t step = slices.begin; step < slices.end; ++step) {
    const WhichRows rows = {s, sets, header, input, set, step * sets.output_rows};
    if (rows.whole())
      run_set_rows<false>(rows, store);
    else
      run_set_rows<true>(rows, store);
  }
}

template <typename Packer>
struct StoreCodes {
  const Packer& packer;  // of transposed posts
  int8_t* to;

  template <int Rows, bool kMasked, int Count>
  __attribute__((always_inline)) void put(Quads (&sums)[Count], size_t element,
                                          const SetPlaces& places) const {
    __m512i codes[Count];
    packer.codes_of_transposed(sums, codes);
    _Pragma("GCC unroll 4") for (size_t i = 0; i < Count; ++i) {
      int8_t* const place = to + element + i / Rows * places.column + i % Rows * places.row;
      if (kMasked)
        _mm512_mask_storeu_epi8(place, places.lanes[i % Rows], codes[i]);
      else
        _mm512_storeu_si512(place, codes[i]);
    }
  }
};

template <typename Packer>
inline StoreCodes<Packer> codes_with(const Packer& packer, int8_t* to) {
  return {packer, to};
}

// Any post, one block of 16 after the other.
struct StoreAny {
  const PostLanes* posts;
  const PostTarget& target;

  template <int Rows, bool kMasked, int Count>
  void put(Quads (&sums)[Count], size_t element, const SetPlaces& places) const {
    for (size_t i = 0; i < Count; ++i)
      put_one(sums[i], element + i / Rows * places.column + i % Rows * places.row,
              places.lanes[i % Rows]);
  }

 private:
  void put_one(Quads& sums, size_t element, __mmask64 lanes) const {
    transpose_quarters(sums);
    alignas(64) int32_t numbers[kLanes];
    for (size_t v = 0; v < kRegisters; ++v) {
      const __mmask16 some = static_cast<__mmask16>(lanes >> (v * kLanes));
      if (some == 0) return;
      _mm512_store_si512(numbers, sums[v]);
      posts[v]
          .first(static_cast<uint32_t>(__builtin_popcount(some)))
          .store(target, numbers, 1, element + v * kLanes, 0);
    }
  }
};

}  // namespace
}  // namespace intrt
