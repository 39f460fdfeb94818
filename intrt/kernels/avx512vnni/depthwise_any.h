// Depthwise convolutions with any window. Four rows of taps lie on top of each other in the bytes
// of a quad, so that vpdpbusd adds up a column of the window; where the window has fewer rows, the
// same quads serve the next rows of the output with the weights moved down.
#pragma once

#include "intrt/kernels/avx512vnni/depthwise_header.h"

namespace intrt {
namespace {

struct Columns {
  size_t sets;          // of four rows of taps
  size_t output_rows;   // that one set of quads serves
  size_t row_entries;   // of a row of prepared numbers: the channels, going on with the first ones
  size_t most_columns;  // of quads in the band

  explicit Columns(const Sizes& s)
      : sets((s.kernel_h + 3) / 4),
        output_rows(rows_of_quads(s)),
        row_entries((s.channels + 2 * kLanes - 1) / kLanes * kLanes),
        most_columns(kBandBytes / (4 * sets * s.channels)) {}

  bool fits(const Sizes& s) const { return most_columns >= s.reach_w(); }
};

// After so many times 16 outputs side by side they are the same channels again.
inline size_t flat_period(const Sizes& s) {
  const size_t power_of_2 = s.channels & (~s.channels + 1);  // the largest in the channels
  return s.channels / (power_of_2 < kLanes ? power_of_2 : kLanes);
}
// 16 outputs side by side at a time, whatever channels they belong to: where that leaves fewer
// lanes unused, and does not need many different posts.
inline bool is_flat(const Sizes& s) {
  return s.stride_w == 1 && s.channels % kLanes != 0 &&
         (s.channels < kLanes || flat_period(s) <= 5);
}

// Posts: of 16 channels each; of flat ones, up to where they repeat. Numbers: biases, then for each
// output row of a set, each set and each tap of a row the weights.
inline size_t posts_of(const Sizes& s) {
  return is_flat(s) ? flat_period(s) : (s.channels + kLanes - 1) / kLanes;
}
inline size_t bytes_of_any(const Sizes& s) {
  const Columns c(s);
  return sizeof(DepthwiseHeader) + posts_of(s) * sizeof(PostLanes) +
         4 * c.row_entries * (1 + c.output_rows * c.sets * s.kernel_w);
}

// bias may be null.
inline void prepare_any(const OpToPrepare& op, const intrt_post_record& post, const Sizes& s,
                        const StoredWeights& stored, const int32_t* bias, void* to) {
  const Columns c(s);
  const Bias added(op.input_never_negative);
  DepthwiseHeader& header = *static_cast<DepthwiseHeader*>(to);
  header.bias = added;
  header.post_count = static_cast<uint32_t>(posts_of(s));
  PostLanes* posts = static_cast<PostLanes*>(static_cast<void*>(&header + 1));
  for (size_t i = 0; i < header.post_count; ++i) {
    const size_t channel = i * kLanes % s.channels;
    new (posts + i) PostLanes(op, post, static_cast<uint32_t>(channel),
                              is_flat(s) ? kLanes : lanes_from(channel, s.channels));
  }
  int32_t* biases = static_cast<int32_t*>(static_cast<void*>(posts + header.post_count));
  int8_t* quads = static_cast<int8_t*>(static_cast<void*>(biases + c.row_entries));
  const size_t quads_bytes = 4 * c.row_entries * c.output_rows * c.sets * s.kernel_w;
  for (size_t i = 0; i < quads_bytes; ++i) quads[i] = 0;
  for (size_t i = 0; i < c.row_entries; ++i) {
    const size_t channel = i % s.channels;
    StoredWeights::Row weights(stored, channel);
    uint32_t sum = 0;
    for (size_t ky = 0; ky < s.kernel_h; ++ky)
      for (size_t kx = 0; kx < s.kernel_w; ++kx) {
        const int32_t weight = weights.next();
        sum += static_cast<uint32_t>(weight);
        for (size_t row = 0; row < c.output_rows; ++row) {
          const size_t place = ky + row * s.stride_h, set = place / 4;
          quads[4 * (((row * c.sets + set) * s.kernel_w + kx) * c.row_entries + i) + place % 4] =
              static_cast<int8_t>(weight);
        }
      }
    biases[i] = start_of(bias == nullptr ? 0 : bias[channel], sum, added.value());
  }
}

// Two rows of bytes, one byte of each in turn.
struct Pairs {
  __m512i low, high;

  // Bytes of rows that may be null, of which all are 0; made unsigned.
  Pairs(const Bias& bias, const int8_t* upper, const int8_t* lower, __mmask64 bytes) {
    // Unpacking works in quarters of a register; this brings quad 4i + j to place 4j + i before.
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const auto in_order = [&](const int8_t* row) {
      const __m512i codes =
          row == nullptr ? _mm512_setzero_si512() : _mm512_maskz_loadu_epi8(bytes, row);
      return _mm512_permutexvar_epi32(order, _mm512_xor_si512(codes, bias.flip()));
    };
    const __m512i a = in_order(upper), b = in_order(lower);
    low = _mm512_unpacklo_epi8(a, b);
    high = _mm512_unpackhi_epi8(a, b);
  }
};

inline __mmask16 some_lanes(size_t count) {
  return count >= kLanes ? first_lanes(kLanes) : first_lanes(static_cast<uint32_t>(count));
}

// Quad i of `to` gets byte i of each of four rows: of 64 or, where kSome, of `count` < 64.
template <bool kSome>
__attribute__((always_inline)) inline void store_quads(uint8_t* to, const Pairs& upper,
                                                       const Pairs& lower, size_t count) {
  const __m512i quads[] = {
      _mm512_unpacklo_epi16(upper.low, lower.low), _mm512_unpackhi_epi16(upper.low, lower.low),
      _mm512_unpacklo_epi16(upper.high, lower.high), _mm512_unpackhi_epi16(upper.high, lower.high)};
  _Pragma("GCC unroll 4") for (size_t k = 0; k < 4; ++k) {
    uint8_t* const place = to + k * kVectorBytes;
    if (!kSome)
      _mm512_storeu_si512(place, quads[k]);
    else if (count > k * kLanes)
      _mm512_mask_storeu_epi32(place, some_lanes(count - k * kLanes), quads[k]);
  }
}

// The quads of a band: of the windows from input row y0 on, in steps, of `columns` input columns
// from x0 on. Each step has its sets of rows one after the other.
struct Stack {
  static constexpr size_t kMostSteps = 32;

  const Sizes& s;
  const Columns& c;
  const Bias& bias;
  const int8_t* input;
  ptrdiff_t y0, x0;
  size_t steps, columns;

  size_t set_bytes() const { return 4 * columns * s.channels; }

  void write(uint8_t* to) const {
    const ColumnParts parts(x0, columns, s.width);
    const size_t quad_bytes = 4 * s.channels;  // of a column
    const size_t before = parts.before * quad_bytes, inside = parts.inside * quad_bytes;
    for (size_t set = 0; set < steps * c.sets; ++set) {
      bias.fill(to + set * set_bytes(), before);
      bias.fill(to + set * set_bytes() + before + inside, parts.after * quad_bytes);
    }
    const size_t first = parts.first * s.channels, bytes = parts.inside * s.channels;
    const size_t step_rows = c.output_rows * s.stride_h;
    if (c.sets == 1 && s.dilation_h == 1 && step_rows == 2)
      return pairs_once(to + before, first, bytes);
    for (size_t step = 0; step < steps; ++step)
      for (size_t set = 0; set < c.sets; ++set) {
        const int8_t* rows[4];
        for (size_t k = 0; k < 4; ++k)
          rows[k] = row_from(step * step_rows + (4 * set + k) * s.dilation_h, first);
        uint8_t* const quads = to + (step * c.sets + set) * set_bytes() + before;
        in_parts(bytes, [&](size_t i, size_t count, __mmask64 mask, auto some) {
          store_quads<decltype(some)::value>(quads + 4 * i, pairs(rows[0], rows[1], i, mask),
                                             pairs(rows[2], rows[3], i, mask), count);
        });
      }
  }

 private:
  template <bool kValue>
  struct Some {
    static constexpr bool value = kValue;
  };
  // Calls f(first, count, mask, Some) for each 64 bytes and for the rest.
  template <typename F>
  __attribute__((always_inline)) static void in_parts(size_t bytes, const F& f) {
    size_t i = 0;
    for (; i + kVectorBytes <= bytes; i += kVectorBytes)
      f(i, kVectorBytes, ~uint64_t{0}, Some<false>{});
    if (i < bytes) f(i, bytes - i, (uint64_t{1} << (bytes - i)) - 1, Some<true>{});
  }

  // Each two rows serve two steps, as their lower and as their upper ones.
  void pairs_once(uint8_t* to, size_t first, size_t bytes) const {
    const int8_t* rows[2 * kMostSteps + 2];
    for (size_t i = 0; i < 2 * steps + 2; ++i) rows[i] = row_from(i, first);
    const size_t step_bytes = set_bytes(), count_of_steps = steps;
    in_parts(bytes, [&](size_t i, size_t count, __mmask64 mask, auto some) {
      uint8_t* quads = to + 4 * i;
      Pairs upper = pairs(rows[0], rows[1], i, mask);
      for (size_t step = 0; step < count_of_steps; ++step, quads += step_bytes) {
        const Pairs lower = pairs(rows[2 * step + 2], rows[2 * step + 3], i, mask);
        store_quads<decltype(some)::value>(quads, upper, lower, count);
        upper = lower;
      }
    });
  }

  __attribute__((always_inline)) Pairs pairs(const int8_t* upper, const int8_t* lower, size_t i,
                                             __mmask64 mask) const {
    return Pairs(bias, upper == nullptr ? nullptr : upper + i,
                 lower == nullptr ? nullptr : lower + i, mask);
  }
  // The input from byte `first` of row number `row` of the band on; null: outside.
  const int8_t* row_from(size_t row, size_t first) const {
    const ptrdiff_t y = y0 + static_cast<ptrdiff_t>(row);
    return y < 0 || y >= static_cast<ptrdiff_t>(s.height)
               ? nullptr
               : input + static_cast<size_t>(y) * s.width * s.channels + first;
  }
};

// Windows beside each other, of each up to 16 outputs, in steps of several rows.
struct DepthwiseRows {
  const Sizes& s;
  const Columns& c;
  const uint8_t* quads;  // of the first window and channel
  size_t set_bytes, steps;
  const uint8_t* biases;  // prepared; of the first channel
  PostTarget target;
  const PostLanes& post;
  size_t windows, step;  // elements from window to window
  size_t element;

  const uint8_t* weights(size_t row, size_t set, size_t kx) const {
    return biases + 4 * c.row_entries * (1 + (row * c.sets + set) * s.kernel_w + kx);
  }
  size_t window_bytes() const { return 4 * s.stride_w * step; }
  size_t tap_bytes() const { return 4 * s.dilation_w * s.channels; }
  size_t row_elements() const { return s.output_width * s.channels; }
  size_t step_bytes() const { return c.sets * set_bytes; }
};

constexpr int kWindowsAtOnce = 4;

// One set of rows of Taps taps. Weights stay in registers. kOverlap: a window begins one tap behind
// the one before, so that a column of quads serves several.
template <int Rows, int Taps, bool kOverlap>
struct ShortWindows {
  __m512i bias, weights[Rows][Taps];
  size_t window_step, tap_step;  // bytes

  explicit ShortWindows(const DepthwiseRows& r)
      : bias(_mm512_loadu_si512(r.biases)), window_step(r.window_bytes()), tap_step(r.tap_bytes()) {
    _Pragma("GCC unroll 4") for (int row = 0; row < Rows; ++row)
        _Pragma("GCC unroll 8") for (int kx = 0; kx < Taps; ++kx) weights[row][kx] =
            _mm512_loadu_si512(r.weights(static_cast<size_t>(row), 0, static_cast<size_t>(kx)));
  }

  // The sums of Count windows from the quads on.
  template <int Count>
  __attribute__((always_inline)) void add_up(const uint8_t* quads,
                                             __m512i (&acc)[Rows][kWindowsAtOnce]) const {
    _Pragma("GCC unroll 4") for (int x = 0; x < kWindowsAtOnce; ++x)
        _Pragma("GCC unroll 4") for (int row = 0; row < Rows; ++row) acc[row][x] = bias;
    if constexpr (kOverlap) {
      constexpr int kColumns = Count + Taps - 1;
      const Places<kColumns> columns(quads, tap_step);
      _Pragma("GCC unroll 8") for (int column = 0; column < kColumns; ++column) {
        const __m512i codes = _mm512_loadu_si512(columns.at(column));
        _Pragma("GCC unroll 4") for (int x = 0; x < Count; ++x)
            _Pragma("GCC unroll 4") for (int row = 0; row < Rows;
                                         ++row) if (x <= column && column < x + Taps) acc[row][x] =
                _mm512_dpbusd_epi32(acc[row][x], codes, weights[row][column - x]);
      }
    } else {
      _Pragma("GCC unroll 4") for (int x = 0; x < Count; ++x) {
        const Places<Taps> taps(quads + static_cast<size_t>(x) * window_step, tap_step);
        _Pragma("GCC unroll 8") for (int kx = 0; kx < Taps; ++kx) {
          const __m512i codes = _mm512_loadu_si512(taps.at(kx));
          _Pragma("GCC unroll 4") for (int row = 0; row < Rows; ++row) acc[row][x] =
              _mm512_dpbusd_epi32(acc[row][x], codes, weights[row][kx]);
        }
      }
    }
  }
};

template <int Rows, int Taps, bool kOverlap>
inline void run_short_windows(const DepthwiseRows& r) {
  using Sums = __m512i[Rows][kWindowsAtOnce];
  const ShortWindows<Rows, Taps, kOverlap> windows(r);
  // Not read again behind each byte that is stored.
  const size_t count = r.windows, steps = r.steps, step = r.step, row_elements = r.row_elements();
  const size_t step_bytes = r.step_bytes(), window_bytes = r.window_bytes();
  // Calls store(sums, element, count) for up to four windows, of all rows.
  const auto run_all = [ =, &r ](const auto& store) __attribute__((always_inline)) {
    Sums acc;
    const uint8_t* first_quad = r.quads;
    size_t first_element = r.element;
    for (size_t i = 0; i < steps; ++i) {
      const uint8_t* quad = first_quad;
      size_t element = first_element, left = count;
      for (; left >= kWindowsAtOnce; left -= kWindowsAtOnce) {
        windows.template add_up<kWindowsAtOnce>(quad, acc);
        store(acc, element, size_t{kWindowsAtOnce});
        quad += kWindowsAtOnce * window_bytes;
        element += kWindowsAtOnce * step;
      }
      for (; left > 0; --left, quad += window_bytes, element += step) {
        windows.template add_up<1>(quad, acc);
        store(acc, element, size_t{1});
      }
      first_quad += step_bytes;
      first_element += Rows * row_elements;
    }
  };
  const bool stored = PostLanes::with_packer<1>(&r.post, [&](const auto packer) {
    int8_t* const codes = r.target.bytes();
    run_all([=](const Sums& acc, size_t element, size_t places) __attribute__((always_inline)) {
      int8_t* to = codes + element;
      _Pragma("GCC unroll 4") for (int row = 0; row < Rows; ++row, to += row_elements)
          packer.store(to, step, places, acc[row][0], acc[row][1], acc[row][2], acc[row][3]);
    });
  });
  if (stored) return;
  run_all([&](const Sums& acc, size_t element, size_t places) {
    alignas(64) int32_t sums[kWindowsAtOnce * kLanes];
    for (size_t row = 0; row < Rows; ++row, element += row_elements) {
      for (size_t i = 0; i < kWindowsAtOnce; ++i)
        _mm512_store_si512(sums + i * kLanes, acc[row][i]);
      r.post.store(r.target, sums, places, element, step);
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
        r.post.store(r.target, sums, 1,
                     r.element + (step * rows + row) * r.row_elements() + x * r.step, 0);
      }
}

inline void run_windows(const DepthwiseRows& r, size_t rows) {
  if (r.windows == 0) return;
  if (r.c.sets == 1 && r.s.kernel_w == 3 && rows <= 2) {
    const bool overlap = r.window_bytes() == r.tap_bytes();
    return (rows == 1 ? overlap ? run_short_windows<1, 3, true> : run_short_windows<1, 3, false>
            : overlap ? run_short_windows<2, 3, true>
                      : run_short_windows<2, 3, false>)(r);
  }
  run_any_windows(r, rows);
}

// A part of the image, rows of one element after the other; `channels` is that of all.
struct DepthwisePart {
  const OpToRun& op;
  const intrt_post_record& post;
  const Sizes& s;
  const Columns& c;
  const DepthwiseHeader& header;
  const uint8_t* quads;
  size_t set_bytes, steps, windows, element;

  // From the first element of a window on: those of `post`, so many windows, `step` apart.
  DepthwiseRows rows_from(size_t first, const PostLanes& lanes, size_t count, size_t step) const {
    return {s,
            c,
            quads + 4 * first,
            set_bytes,
            steps,
            header.numbers() + 4 * (first % s.channels),
            {op, post},
            lanes,
            count,
            step,
            element + first};
  }
};

inline void run_flat(const DepthwisePart& part, size_t rows) {
  const size_t count = part.windows * part.s.channels, whole = count / kLanes;
  const size_t period = part.header.post_count;
  for (size_t i = 0; i < period && i < whole; ++i)
    run_windows(part.rows_from(i * kLanes, part.header.all_posts()[i],
                               (whole - i + period - 1) / period, period * kLanes),
                rows);
  if (count % kLanes == 0) return;
  const PostLanes last =
      part.header.all_posts()[whole % period].first(static_cast<uint32_t>(count % kLanes));
  run_windows(part.rows_from(whole * kLanes, last, 1, 0), rows);
}

inline void run_channels(const DepthwisePart& part, size_t rows) {
  for (size_t i = 0; i < part.header.post_count; ++i)
    run_windows(
        part.rows_from(i * kLanes, part.header.all_posts()[i], part.windows, part.s.channels),
        rows);
}

inline void run_any(const OpToRun& op, const intrt_post_record& post, const Sizes& s) {
  alignas(64)
      uint8_t band[kBandBytes + kVectorBytes];  // the last quads are read in whole registers
  const Columns c(s);
  const int8_t* input = static_cast<const int8_t*>(op.input_data);
  const DepthwiseHeader& header = *static_cast<const DepthwiseHeader*>(op.prepared);
  const size_t begin_row = op.slices.begin * c.output_rows, last = op.slices.end * c.output_rows;
  const size_t end_row = last < s.output_height ? last : s.output_height;
  const size_t most_windows = (c.most_columns - s.reach_w()) / s.stride_w + 1;
  for (size_t ox = 0; ox < s.output_width; ox += most_windows) {
    const size_t windows = most_windows < s.output_width - ox ? most_windows : s.output_width - ox;
    const size_t columns = s.columns_under(windows), set_bytes = 4 * columns * s.channels;
    const ptrdiff_t x0 = static_cast<ptrdiff_t>(ox * s.stride_w) - s.left;
    const size_t fitting_steps = kBandBytes / (c.sets * set_bytes);
    const size_t most_steps = fitting_steps < Stack::kMostSteps ? fitting_steps : Stack::kMostSteps;
    for (size_t oy = begin_row; oy < end_row; oy += most_steps * c.output_rows) {
      const size_t left = end_row - oy;
      const size_t steps = most_steps < left / c.output_rows ? most_steps : left / c.output_rows;
      // The last step may have fewer rows.
      const size_t rest = steps < most_steps ? left % c.output_rows : 0;
      const ptrdiff_t y0 = static_cast<ptrdiff_t>(oy * s.stride_h) - s.top;
      Stack{s, c, header.bias, input, y0, x0, steps + (rest > 0 ? 1 : 0), columns}.write(band);
      const auto run_steps = [&](size_t first, size_t count, size_t rows) {
        if (count == 0) return;
        const DepthwisePart part = {
            op,        post,
            s,         c,
            header,    band + first * c.sets * set_bytes,
            set_bytes, count,
            windows,   ((oy + first * c.output_rows) * s.output_width + ox) * s.channels};
        if (is_flat(s))
          run_flat(part, rows);
        else
          run_channels(part, rows);
      };
      run_steps(0, steps, c.output_rows);
      run_steps(steps, rest > 0 ? 1 : 0, rest);
    }
  }
}

}  // namespace
}  // namespace intrt
