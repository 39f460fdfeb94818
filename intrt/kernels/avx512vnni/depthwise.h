// Depthwise convolutions. Four rows of taps lie on top of each other in the bytes of a quad, so
// that vpdpbusd adds up a column of the window; where the window has fewer rows, the same quads
// serve the next rows of the output with the weights moved down.
#pragma once

#include "intrt/kernels/avx512vnni/convolution.h"

namespace intrt {
namespace {

inline bool is_depthwise(const Sizes& s) {
  return s.groups > 1 && s.group_inputs == 1 && s.group_outputs == 1;
}

struct Columns {
  size_t sets;          // of four rows of taps
  size_t output_rows;   // that one set of quads serves
  size_t row_entries;   // of a row of prepared numbers: the channels, going on with the first ones
  size_t most_columns;  // of quads in the band

  explicit Columns(const Sizes& s)
      : sets((s.kernel_h + 3) / 4),
        output_rows(sets == 1 && s.dilation_h == 1 ? (4 - s.kernel_h) / s.stride_h + 1 : 1),
        row_entries((s.channels + 2 * kLanes - 1) / kLanes * kLanes),
        most_columns(kBandBytes / (4 * sets * s.channels)) {}

  bool fits(const Sizes& s) const { return most_columns >= s.reach_w(); }
};

// Biases, then for each output row of a set, each set and each tap of a row the weights.
inline size_t depthwise_bytes(const Sizes& s) {
  const Columns c(s);
  return 4 * c.row_entries * (1 + c.output_rows * c.sets * s.kernel_w);
}

// bias may be null.
inline void prepare_depthwise(const Sizes& s, const StoredWeights& stored, const int32_t* bias,
                              void* to) {
  const Columns c(s);
  int32_t* biases = static_cast<int32_t*>(to);
  int8_t* quads = static_cast<int8_t*>(static_cast<void*>(biases + c.row_entries));
  const size_t quads_bytes = 4 * c.row_entries * c.output_rows * c.sets * s.kernel_w;
  for (size_t i = 0; i < quads_bytes; ++i) quads[i] = 0;
  for (size_t i = 0; i < c.row_entries; ++i) {
    const size_t channel = i % s.channels;
    StoredWeights::Row weights(stored, channel);
    uint32_t sum = 0;
    for (size_t ky = 0; ky < s.kernel_h; ++ky)
      for (size_t kx = 0; kx < s.kernel_w; ++kx) {
        const int8_t weight = weights.next();
        sum += static_cast<uint32_t>(static_cast<int32_t>(weight));
        for (size_t row = 0; row < c.output_rows; ++row) {
          const size_t place = ky + row * s.stride_h, set = place / 4;
          quads[4 * (((row * c.sets + set) * s.kernel_w + kx) * c.row_entries + i) + place % 4] =
              weight;
        }
      }
    const uint32_t start = bias == nullptr ? 0 : static_cast<uint32_t>(bias[channel]);
    biases[i] = static_cast<int32_t>(start - 128 * sum);
  }
}

// Lays four rows on top of each other: quad i of `to` holds byte i of each, plus 128. A null row is
// all 0. Writes up to 252 bytes behind the last quad.
inline void stack_rows(uint8_t* to, const int8_t* const (&rows)[4], size_t count) {
  // Unpacking works in quarters of a register; this brings quad 4i + j to place 4j + i before.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  for (size_t i = 0; i < count; i += kVectorBytes, to += 4 * kVectorBytes) {
    const size_t rest = count - i;
    const __mmask64 mask = rest >= kVectorBytes ? ~uint64_t{0} : (uint64_t{1} << rest) - 1;
    __m512i row[4];
    for (size_t k = 0; k < 4; ++k) {
      row[k] =
          rows[k] == nullptr ? _mm512_setzero_si512() : _mm512_maskz_loadu_epi8(mask, rows[k] + i);
      row[k] = _mm512_permutexvar_epi32(order, biased(row[k]));
    }
    const __m512i low01 = _mm512_unpacklo_epi8(row[0], row[1]),
                  high01 = _mm512_unpackhi_epi8(row[0], row[1]),
                  low23 = _mm512_unpacklo_epi8(row[2], row[3]),
                  high23 = _mm512_unpackhi_epi8(row[2], row[3]);
    _mm512_storeu_si512(to, _mm512_unpacklo_epi16(low01, low23));
    _mm512_storeu_si512(to + 64, _mm512_unpackhi_epi16(low01, low23));
    _mm512_storeu_si512(to + 128, _mm512_unpacklo_epi16(high01, high23));
    _mm512_storeu_si512(to + 192, _mm512_unpackhi_epi16(high01, high23));
  }
}

// Quads of `columns` input columns from x0 on, of the rows that set number `set` of the windows
// from input row y0 on reads.
inline void stack_set(const Sizes& s, const int8_t* input, ptrdiff_t y0, size_t set, ptrdiff_t x0,
                      size_t columns, uint8_t* to) {
  const ptrdiff_t width = static_cast<ptrdiff_t>(s.width);
  const ptrdiff_t end = x0 + static_cast<ptrdiff_t>(columns);
  const ptrdiff_t from = x0 < 0 ? (end < 0 ? end : 0) : x0;
  const ptrdiff_t until = end < width ? end : width;
  const size_t quad_bytes = 4 * s.channels;  // of a column
  if (until <= from) return fill_biased(to, columns * quad_bytes);
  const int8_t* rows[4];
  for (size_t k = 0; k < 4; ++k) {
    const ptrdiff_t y = y0 + static_cast<ptrdiff_t>((4 * set + k) * s.dilation_h);
    const bool is_inside = y >= 0 && y < static_cast<ptrdiff_t>(s.height);
    rows[k] = is_inside ? input + static_cast<size_t>(y * width + from) * s.channels : nullptr;
  }
  const size_t before = static_cast<size_t>(from - x0), inside = static_cast<size_t>(until - from);
  fill_biased(to, before * quad_bytes);
  stack_rows(to + before * quad_bytes, rows, inside * s.channels);
  fill_biased(to + (before + inside) * quad_bytes, (columns - before - inside) * quad_bytes);
}

// One row of windows for up to 16 channels, of Rows output rows at once.
struct DepthwiseRow {
  const Sizes& s;
  const Columns& c;
  const uint8_t* quads;  // of the first window and channel
  size_t set_bytes;
  const uint8_t* biases;  // prepared; of the first channel
  const PostLanes& post;
  size_t windows, element;
};

inline const uint8_t* weights_of(const DepthwiseRow& r, size_t row, size_t set, size_t kx) {
  return r.biases + 4 * r.c.row_entries * (1 + (row * r.c.sets + set) * r.s.kernel_w + kx);
}

// Weights stay in registers: one set of rows of Taps taps.
template <int Rows, int Taps>
inline void run_short_windows(const DepthwiseRow& r) {
  __m512i weights[Rows][Taps];
  _Pragma("GCC unroll 4") for (int row = 0; row < Rows; ++row)
      _Pragma("GCC unroll 8") for (int kx = 0; kx < Taps; ++kx) weights[row][kx] =
          _mm512_loadu_si512(weights_of(r, static_cast<size_t>(row), 0, static_cast<size_t>(kx)));
  const __m512i bias = _mm512_loadu_si512(r.biases);
  const size_t window_step = 4 * r.s.stride_w * r.s.channels;
  const size_t tap_step = 4 * r.s.dilation_w * r.s.channels;
  const size_t row_elements = r.s.output_width * r.s.channels;
  alignas(64) int32_t sums[Rows][kSumsAtOnce * kLanes];
  for (size_t first = 0; first < r.windows; first += kSumsAtOnce) {
    const size_t rest = r.windows - first, count = rest < kSumsAtOnce ? rest : kSumsAtOnce;
    const uint8_t* window = r.quads + first * window_step;
    for (size_t x = 0; x < count; ++x, window += window_step) {
      __m512i acc[Rows];
      _Pragma("GCC unroll 4") for (int row = 0; row < Rows; ++row) acc[row] = bias;
      _Pragma("GCC unroll 8") for (int kx = 0; kx < Taps; ++kx) {
        const __m512i codes = _mm512_loadu_si512(window + static_cast<size_t>(kx) * tap_step);
        _Pragma("GCC unroll 4") for (int row = 0; row < Rows; ++row) acc[row] =
            _mm512_dpbusd_epi32(acc[row], codes, weights[row][kx]);
      }
      _Pragma("GCC unroll 4") for (int row = 0; row < Rows; ++row)
          _mm512_store_si512(sums[row] + x * kLanes, acc[row]);
    }
    for (size_t row = 0; row < Rows; ++row)
      r.post.store(sums[row], count, r.element + row * row_elements + first * r.s.channels,
                   r.s.channels);
  }
}

inline void run_any_windows(const DepthwiseRow& r, size_t rows) {
  const size_t row_elements = r.s.output_width * r.s.channels;
  for (size_t x = 0; x < r.windows; ++x)
    for (size_t row = 0; row < rows; ++row) {
      __m512i acc = _mm512_loadu_si512(r.biases);
      for (size_t set = 0; set < r.c.sets; ++set)
        for (size_t kx = 0; kx < r.s.kernel_w; ++kx) {
          const size_t column = x * r.s.stride_w + kx * r.s.dilation_w;
          const uint8_t* codes = r.quads + set * r.set_bytes + 4 * column * r.s.channels;
          acc = _mm512_dpbusd_epi32(acc, _mm512_loadu_si512(codes),
                                    _mm512_loadu_si512(weights_of(r, row, set, kx)));
        }
      alignas(64) int32_t sums[kLanes];
      _mm512_store_si512(sums, acc);
      r.post.store(sums, 1, r.element + row * row_elements + x * r.s.channels, 0);
    }
}

inline void run_windows(const DepthwiseRow& r, size_t rows) {
  if (r.c.sets == 1 && r.s.kernel_w == 3 && rows == 1) return run_short_windows<1, 3>(r);
  if (r.c.sets == 1 && r.s.kernel_w == 3 && rows == 2) return run_short_windows<2, 3>(r);
  run_any_windows(r, rows);
}

// Windows side by side whose channels all fare alike: 16 accumulators at a time, whatever channels
// they belong to. Rows of one element after the other, so stride 1 only.
inline void run_flat(const OpToRun& op, const intrt_post_record& post, const DepthwiseRow& r,
                     size_t rows) {
  const size_t count = r.windows * r.s.channels;
  const size_t row_elements = r.s.output_width * r.s.channels;
  const PostLanes all(op, post, 0, kLanes);
  const PostLanes last(op, post, 0, static_cast<uint32_t>((count - 1) % kLanes + 1));
  alignas(64) int32_t sums[kSumsAtOnce * kLanes];
  for (size_t row = 0; row < rows; ++row) {
    size_t channel = 0, put_aside = 0;
    const size_t element = r.element + row * row_elements;
    for (size_t f = 0; f < count; f += kLanes, channel = (channel + kLanes) % r.s.channels) {
      __m512i acc = _mm512_loadu_si512(r.biases + 4 * channel);
      for (size_t set = 0; set < r.c.sets; ++set)
        for (size_t kx = 0; kx < r.s.kernel_w; ++kx) {
          const size_t place = f + kx * r.s.dilation_w * r.s.channels;
          acc =
              _mm512_dpbusd_epi32(acc, _mm512_loadu_si512(r.quads + set * r.set_bytes + 4 * place),
                                  _mm512_loadu_si512(weights_of(r, row, set, kx) + 4 * channel));
        }
      if (f + kLanes > count) {  // fewer than 16 are left
        all.store(sums, put_aside, element + f - put_aside * kLanes, kLanes);
        _mm512_store_si512(sums, acc);
        last.store(sums, 1, element + f, 0);
        put_aside = 0;
        break;
      }
      _mm512_store_si512(sums + put_aside * kLanes, acc);
      if (++put_aside == kSumsAtOnce) {
        all.store(sums, put_aside, element + f + kLanes - put_aside * kLanes, kLanes);
        put_aside = 0;
      }
    }
    all.store(sums, put_aside, element + count - put_aside * kLanes, kLanes);
  }
}

inline void run_depthwise(const OpToRun& op, const intrt_post_record& post, const Sizes& s) {
  alignas(64) uint8_t band[kBandBytes + 5 * kVectorBytes];
  const Columns c(s);
  const int8_t* input = static_cast<const int8_t*>(op.input_data);
  const uint8_t* prepared = static_cast<const uint8_t*>(op.prepared);
  const bool flat = channels_alike(post) && s.stride_w == 1 && s.channels % kLanes != 0;
  const size_t most_windows = (c.most_columns - s.reach_w()) / s.stride_w + 1;
  for (size_t ox = 0; ox < s.output_width; ox += most_windows) {
    const size_t windows = most_windows < s.output_width - ox ? most_windows : s.output_width - ox;
    const size_t columns = s.columns_under(windows), set_bytes = 4 * columns * s.channels;
    const ptrdiff_t x0 = static_cast<ptrdiff_t>(ox * s.stride_w) - static_cast<ptrdiff_t>(s.left);
    // As many output rows as fit, `output_rows` for each step.
    const size_t step_bytes = c.sets * set_bytes;
    const size_t most_rows = kBandBytes / step_bytes * c.output_rows;
    for (size_t oy = 0; oy < s.output_height; oy += most_rows) {
      const size_t end = most_rows < s.output_height - oy ? oy + most_rows : s.output_height;
      uint8_t* quads = band;
      for (size_t y = oy; y < end; y += c.output_rows)
        for (size_t set = 0; set < c.sets; ++set, quads += set_bytes)
          stack_set(s, input,
                    static_cast<ptrdiff_t>(y * s.stride_h) - static_cast<ptrdiff_t>(s.top), set, x0,
                    columns, quads);
      const auto for_each_step = [&](const auto& run_step) {
        const uint8_t* first_quad = band;
        for (size_t y = oy; y < end; y += c.output_rows, first_quad += step_bytes)
          run_step(first_quad, c.output_rows < end - y ? c.output_rows : end - y,
                   (y * s.output_width + ox) * s.channels);
      };
      if (flat) {
        const PostLanes none(op, post, 0, 1);
        for_each_step([&](const uint8_t* first_quad, size_t rows, size_t element) {
          run_flat(op, post, {s, c, first_quad, set_bytes, prepared, none, windows, element}, rows);
        });
        continue;
      }
      for (size_t first = 0; first < s.channels; first += kLanes) {
        const size_t rest = s.channels - first;
        const PostLanes lanes(op, post, static_cast<uint32_t>(first),
                              static_cast<uint32_t>(rest < kLanes ? rest : kLanes));
        for_each_step([&](const uint8_t* first_quad, size_t rows, size_t element) {
          run_windows({s, c, first_quad + 4 * first, set_bytes, prepared + 4 * first, lanes,
                       windows, element + first},
                      rows);
        });
      }
    }
  }
}

}  // namespace
}  // namespace intrt
