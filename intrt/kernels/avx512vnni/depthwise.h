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

// A slice is the output rows that one set of quads serves.
inline uint32_t depthwise_slices(const Sizes& s) {
  const size_t rows = Columns(s).output_rows;
  return static_cast<uint32_t>((s.output_height + rows - 1) / rows);
}

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

// Windows beside each other, of each up to 16 outputs, in steps of several rows.
struct DepthwiseRows {
  const Sizes& s;
  const Columns& c;
  const uint8_t* quads;  // of the first window and channel
  size_t set_bytes, steps;
  const uint8_t* biases;  // prepared; of the first channel
  const PostLanes& post;
  size_t windows, step;  // elements from window to window
  size_t element;

  const uint8_t* weights(size_t row, size_t set, size_t kx) const {
    return biases + 4 * c.row_entries * (1 + (row * c.sets + set) * s.kernel_w + kx);
  }
  size_t row_elements() const { return s.output_width * s.channels; }
  size_t step_bytes() const { return c.sets * set_bytes; }
};

constexpr size_t kWindowsAtOnce = 4;

// One set of rows of Taps taps. Weights stay in registers.
template <int Rows, int Taps>
struct ShortWindows {
  __m512i bias, weights[Rows][Taps];
  size_t window_step, tap_step;  // bytes

  explicit ShortWindows(const DepthwiseRows& r)
      : bias(_mm512_loadu_si512(r.biases)),
        window_step(4 * r.s.stride_w * r.step),
        tap_step(4 * r.s.dilation_w * r.s.channels) {
    _Pragma("GCC unroll 4") for (int row = 0; row < Rows; ++row)
        _Pragma("GCC unroll 8") for (int kx = 0; kx < Taps; ++kx) weights[row][kx] =
            _mm512_loadu_si512(r.weights(static_cast<size_t>(row), 0, static_cast<size_t>(kx)));
  }

  // The sums of Count windows from the quads on.
  template <size_t Count>
  __attribute__((always_inline)) void add_up(const uint8_t* quads,
                                             __m512i (&acc)[Rows][kWindowsAtOnce]) const {
    _Pragma("GCC unroll 4") for (size_t x = 0; x < kWindowsAtOnce; ++x)
        _Pragma("GCC unroll 4") for (int row = 0; row < Rows; ++row) acc[row][x] = bias;
    _Pragma("GCC unroll 4") for (size_t x = 0; x < Count; ++x)
        _Pragma("GCC unroll 8") for (int kx = 0; kx < Taps; ++kx) {
      const __m512i codes =
          _mm512_loadu_si512(quads + x * window_step + static_cast<size_t>(kx) * tap_step);
      _Pragma("GCC unroll 4") for (int row = 0; row < Rows; ++row) acc[row][x] =
          _mm512_dpbusd_epi32(acc[row][x], codes, weights[row][kx]);
    }
  }
};

template <int Rows, int Taps>
inline void run_short_windows(const DepthwiseRows& r) {
  using Sums = __m512i[Rows][kWindowsAtOnce];
  const ShortWindows<Rows, Taps> windows(r);
  // Calls store(sums, element, count) for up to four windows, of all rows.
  const auto run_all = [&](const auto& store) __attribute__((always_inline)) {
    Sums acc;
    const uint8_t* first_quad = r.quads;
    size_t first_element = r.element;
    for (size_t step = 0; step < r.steps; ++step) {
      size_t x = 0;
      for (; x + kWindowsAtOnce <= r.windows; x += kWindowsAtOnce) {
        windows.template add_up<kWindowsAtOnce>(first_quad + x * windows.window_step, acc);
        store(acc, first_element + x * r.step, kWindowsAtOnce);
      }
      for (; x < r.windows; ++x) {
        windows.template add_up<1>(first_quad + x * windows.window_step, acc);
        store(acc, first_element + x * r.step, 1);
      }
      first_quad += r.step_bytes();
      first_element += Rows * r.row_elements();
    }
  };
  const bool stored = PostLanes::with_packer<1>(&r.post, [&](const auto packer) {
    run_all([&](const Sums& acc, size_t element, size_t count) __attribute__((always_inline)) {
      int8_t* to = r.post.bytes() + element;
      _Pragma("GCC unroll 4") for (int row = 0; row < Rows; ++row, to += r.row_elements())
          packer.store(to, r.step, count, acc[row][0], acc[row][1], acc[row][2], acc[row][3]);
    });
  });
  if (stored) return;
  run_all([&](const Sums& acc, size_t element, size_t count) {
    alignas(64) int32_t sums[kWindowsAtOnce * kLanes];
    for (size_t row = 0; row < Rows; ++row, element += r.row_elements()) {
      for (size_t i = 0; i < kWindowsAtOnce; ++i)
        _mm512_store_si512(sums + i * kLanes, acc[row][i]);
      r.post.store(sums, count, element, r.step);
    }
  });
}

inline void run_any_windows(const DepthwiseRows& r, size_t rows) {
  alignas(64) int32_t sums[kWindowsAtOnce * kLanes] = {};
  for (size_t step = 0; step < r.steps; ++step)
    for (size_t row = 0; row < rows; ++row)
      for (size_t x = 0; x < r.windows; ++x) {
        __m512i acc = _mm512_loadu_si512(r.biases);
        for (size_t set = 0; set < r.c.sets; ++set)
          for (size_t kx = 0; kx < r.s.kernel_w; ++kx) {
            const size_t place = x * r.s.stride_w * r.step + kx * r.s.dilation_w * r.s.channels;
            const uint8_t* codes = r.quads + step * r.step_bytes() + set * r.set_bytes + 4 * place;
            acc = _mm512_dpbusd_epi32(acc, _mm512_loadu_si512(codes),
                                      _mm512_loadu_si512(r.weights(row, set, kx)));
          }
        _mm512_store_si512(sums, acc);
        r.post.store(sums, 1, r.element + (step * rows + row) * r.row_elements() + x * r.step, 0);
      }
}

inline void run_windows(const DepthwiseRows& r, size_t rows) {
  if (r.windows == 0) return;
  if (r.c.sets == 1 && r.s.kernel_w == 3 && rows == 1) return run_short_windows<1, 3>(r);
  if (r.c.sets == 1 && r.s.kernel_w == 3 && rows == 2) return run_short_windows<2, 3>(r);
  run_any_windows(r, rows);
}

// 16 outputs side by side at a time, whatever channels they belong to; after a common multiple of
// 16 and the channels, they are the same channels again. Rows of one element after the other, so
// stride 1 only.
inline void run_flat(const OpToRun& op, const intrt_post_record& post, const DepthwiseRows& r,
                     size_t rows) {
  const size_t count = r.windows * r.s.channels, whole = count / kLanes;
  size_t period = 1;  // times 16
  while (period * kLanes % r.s.channels != 0) ++period;
  const auto run_from = [&](size_t vector, size_t vectors, uint32_t lanes) {
    const size_t first = vector * kLanes, channel = first % r.s.channels;
    const PostLanes post_lanes(op, post, static_cast<uint32_t>(channel), lanes);
    run_windows({r.s, r.c, r.quads + 4 * first, r.set_bytes, r.steps, r.biases + 4 * channel,
                 post_lanes, vectors, period * kLanes, r.element + first},
                rows);
  };
  for (size_t vector = 0; vector < period && vector < whole; ++vector)
    run_from(vector, (whole - vector + period - 1) / period, kLanes);
  if (count % kLanes != 0) run_from(whole, 1, static_cast<uint32_t>(count % kLanes));
}

inline void run_depthwise(const OpToRun& op, const intrt_post_record& post, const Sizes& s) {
  alignas(64) uint8_t band[kBandBytes + 5 * kVectorBytes];
  const Columns c(s);
  const int8_t* input = static_cast<const int8_t*>(op.input_data);
  const uint8_t* prepared = static_cast<const uint8_t*>(op.prepared);
  const bool flat = s.stride_w == 1 && s.channels % kLanes != 0;
  const size_t begin_row = op.slices.begin * c.output_rows, last = op.slices.end * c.output_rows;
  const size_t end_row = last < s.output_height ? last : s.output_height;
  const size_t most_windows = (c.most_columns - s.reach_w()) / s.stride_w + 1;
  for (size_t ox = 0; ox < s.output_width; ox += most_windows) {
    const size_t windows = most_windows < s.output_width - ox ? most_windows : s.output_width - ox;
    const size_t columns = s.columns_under(windows), set_bytes = 4 * columns * s.channels;
    const ptrdiff_t x0 = static_cast<ptrdiff_t>(ox * s.stride_w) - static_cast<ptrdiff_t>(s.left);
    const size_t most_steps = kBandBytes / (c.sets * set_bytes);
    for (size_t oy = begin_row; oy < end_row; oy += most_steps * c.output_rows) {
      const size_t left = end_row - oy;
      const size_t steps = most_steps < left / c.output_rows ? most_steps : left / c.output_rows;
      // The last step may have fewer rows.
      const size_t rest = steps < most_steps ? left % c.output_rows : 0;
      const ptrdiff_t y0 = static_cast<ptrdiff_t>(oy * s.stride_h) - static_cast<ptrdiff_t>(s.top);
      uint8_t* quads = band;
      for (size_t step = 0; step < steps + (rest > 0 ? 1 : 0); ++step)
        for (size_t set = 0; set < c.sets; ++set, quads += set_bytes)
          stack_set(s, input, y0 + static_cast<ptrdiff_t>(step * c.output_rows * s.stride_h), set,
                    x0, columns, quads);
      const auto run_steps = [&](size_t first, size_t count, size_t rows) {
        if (count == 0) return;
        const uint8_t* from = band + first * c.sets * set_bytes;
        const size_t element = ((oy + first * c.output_rows) * s.output_width + ox) * s.channels;
        if (flat) {
          const PostLanes none(op, post, 0, 1);
          return run_flat(
              op, post, {s, c, from, set_bytes, count, prepared, none, windows, 0, element}, rows);
        }
        for (size_t channel = 0; channel < s.channels; channel += kLanes) {
          const PostLanes lanes(op, post, static_cast<uint32_t>(channel),
                                lanes_from(channel, s.channels));
          run_windows({s, c, from + 4 * channel, set_bytes, count, prepared + 4 * channel, lanes,
                       windows, s.channels, element + channel},
                      rows);
        }
      };
      run_steps(0, steps, c.output_rows);
      run_steps(steps, rest > 0 ? 1 : 0, rest);
    }
  }
}

}  // namespace
}  // namespace intrt
