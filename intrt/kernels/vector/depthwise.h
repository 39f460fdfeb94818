// Depthwise convolutions. kDepth rows of taps lie on top of each other in a lane, so that one
// instruction adds up a column of the window, or a part of it. Where that leaves rows unused, the
// same codes serve the next rows of the output with the weights moved down.
#pragma once

#include "intrt/kernels/vector/convolution.h"

namespace intrt {
namespace {

inline bool is_depthwise(const Sizes& s) {
  return s.groups > 1 && s.group_inputs == 1 && s.group_outputs == 1;
}

struct Columns {
  size_t sets;          // of kDepth rows of taps
  size_t output_rows;   // that the same sets serve
  size_t row_entries;   // of a row of prepared numbers: the channels, going on with the first ones
  size_t most_columns;  // of all sets in a band

  explicit Columns(const Sizes& s)
      : sets((s.kernel_h + kDepth - 1) / kDepth),
        output_rows(s.dilation_h == 1 ? (kDepth * sets - s.kernel_h) / s.stride_h + 1 : 1),
        row_entries((s.channels + 2 * kLanes - 1) / kLanes * kLanes),
        most_columns(kBandCodes / (kDepth * sets * s.channels)) {}

  bool fits(const Sizes& s) const { return most_columns >= s.reach_w(); }
};

// A slice is the output rows that the same sets serve.
inline size_t depthwise_slice_rows(const Sizes& s) { return Columns(s).output_rows; }

// kLanes channels' posts at a time; then biases; then for each output row, each set and each tap of
// a row the weights.
inline size_t posts_of(const Sizes& s) { return (s.channels + kLanes - 1) / kLanes; }
inline const int32_t* biases_behind(const PostLanes* posts, const Sizes& s) {
  return static_cast<const int32_t*>(static_cast<const void*>(posts + posts_of(s)));
}
inline size_t depthwise_bytes(const Sizes& s) {
  const Columns c(s);
  return posts_of(s) * sizeof(PostLanes) +
         c.row_entries * (4 + sizeof(Weight) * kDepth * c.output_rows * c.sets * s.kernel_w);
}

// bias may be null.
inline void prepare_depthwise(const OpToPrepare& op, const intrt_post_record& post, const Sizes& s,
                              const StoredWeights& stored, const int32_t* bias, void* to) {
  const Columns c(s);
  PostLanes* posts = static_cast<PostLanes*>(to);
  for (size_t i = 0; i < posts_of(s); ++i)
    new (posts + i)
        PostLanes(op, post, static_cast<uint32_t>(i * kLanes), lanes_from(i * kLanes, s.channels));
  int32_t* biases = static_cast<int32_t*>(static_cast<void*>(posts + posts_of(s)));
  Weight* all_weights = static_cast<Weight*>(static_cast<void*>(biases + c.row_entries));
  const size_t count = kDepth * c.row_entries * c.output_rows * c.sets * s.kernel_w;
  for (size_t i = 0; i < count; ++i) all_weights[i] = 0;
  for (size_t i = 0; i < c.row_entries; ++i) {
    const size_t channel = i % s.channels;
    StoredWeights::Row weights(stored, channel);
    uint32_t sum = 0;
    for (size_t ky = 0; ky < s.kernel_h; ++ky)
      for (size_t kx = 0; kx < s.kernel_w; ++kx) {
        const int32_t weight = weights.next();
        sum += static_cast<uint32_t>(weight);
        for (size_t row = 0; row < c.output_rows; ++row) {
          const size_t place = ky + row * s.stride_h, set = place / kDepth;
          const size_t entry = ((row * c.sets + set) * s.kernel_w + kx) * c.row_entries + i;
          all_weights[kDepth * entry + place % kDepth] = static_cast<Weight>(weight);
        }
      }
    biases[i] = start_of(bias == nullptr ? 0 : bias[channel], sum, kCodeOffset);
  }
}

// Lays rows on top of each other. A null row is all 0.
template <typename X>
inline void stack_rows(Code* to, const X* const (&rows)[kDepth], size_t count) {
  constexpr size_t kAtOnce = 16;
  const X zeros[kAtOnce] = {};
  size_t i = 0;
  for (; i + kAtOnce <= count; i += kAtOnce) {
    const X* now[kDepth];
    for (size_t k = 0; k < kDepth; ++k) now[k] = rows[k] == nullptr ? zeros : rows[k] + i;
    stack(to + kDepth * i, now);
  }
  for (; i < count; ++i)
    for (size_t k = 0; k < kDepth; ++k)
      to[kDepth * i + k] = static_cast<Code>((rows[k] == nullptr ? 0 : rows[k][i]) + kCodeOffset);
}

// Codes of `columns` input columns from x0 on, of the rows that set number `set` of the windows
// from input row y0 on reads.
template <typename X>
inline void stack_set(const Sizes& s, const X* input, ptrdiff_t y0, size_t set, ptrdiff_t x0,
                      size_t columns, Code* to) {
  const ColumnParts parts(x0, columns, s.width);
  const size_t column_codes = kDepth * s.channels;
  const X* rows[kDepth];
  for (size_t k = 0; k < kDepth; ++k) {
    const ptrdiff_t y = y0 + static_cast<ptrdiff_t>((kDepth * set + k) * s.dilation_h);
    const bool is_inside = y >= 0 && y < static_cast<ptrdiff_t>(s.height);
    rows[k] =
        is_inside ? input + (static_cast<size_t>(y) * s.width + parts.first) * s.channels : nullptr;
  }
  fill_codes(to, parts.before * column_codes);
  stack_rows(to + parts.before * column_codes, rows, parts.inside * s.channels);
  fill_codes(to + (parts.before + parts.inside) * column_codes, parts.after * column_codes);
}

// One row of windows for up to kLanes channels, of several output rows at once.
struct DepthwiseRow {
  const Sizes& s;
  const Columns& c;
  const Code* codes;  // of the first window and channel
  size_t set_codes;
  const int32_t* biases;  // prepared
  size_t first;           // channel
  PostTarget target;
  const PostLanes& post;
  size_t windows, element;
};

inline const Weight* weights_of(const DepthwiseRow& r, size_t row, size_t set, size_t kx) {
  const size_t entry = ((row * r.c.sets + set) * r.s.kernel_w + kx) * r.c.row_entries + r.first;
  return static_cast<const Weight*>(static_cast<const void*>(r.biases + r.c.row_entries)) +
         kDepth * entry;
}

// Weights stay in registers.
template <int kRows, int kSets, int kTaps>
inline void run_short_windows(const DepthwiseRow& r) {
  decltype(load_weights(weights_of(r, 0, 0, 0))) weights[kRows][kSets][kTaps];
  for (int row = 0; row < kRows; ++row)
    for (int set = 0; set < kSets; ++set)
      for (int kx = 0; kx < kTaps; ++kx)
        weights[row][set][kx] = load_weights(weights_of(
            r, static_cast<size_t>(row), static_cast<size_t>(set), static_cast<size_t>(kx)));
  const Vector bias = load(r.biases + r.first);
  const size_t window_step = kDepth * r.s.stride_w * r.s.channels;
  const size_t tap_step = kDepth * r.s.dilation_w * r.s.channels;
  const size_t row_elements = r.s.output_width * r.s.channels;
  int32_t sums[kRows][kSumsAtOnce * kLanes];
  for (size_t first = 0; first < r.windows; first += kSumsAtOnce) {
    const size_t rest = r.windows - first, count = rest < kSumsAtOnce ? rest : kSumsAtOnce;
    const Code* window = r.codes + first * window_step;
    for (size_t x = 0; x < count; ++x, window += window_step) {
      Vector acc[kRows];
      _Pragma("GCC unroll 4") for (int row = 0; row < kRows; ++row) acc[row] = bias;
      _Pragma("GCC unroll 4") for (int set = 0; set < kSets; ++set)
          _Pragma("GCC unroll 8") for (int kx = 0; kx < kTaps; ++kx) {
        const auto codes = load_codes(window + static_cast<size_t>(set) * r.set_codes +
                                      static_cast<size_t>(kx) * tap_step);
        _Pragma("GCC unroll 4") for (int row = 0; row < kRows; ++row) acc[row] =
            dot(acc[row], codes, weights[row][set][kx]);
      }
      _Pragma("GCC unroll 4") for (int row = 0; row < kRows; ++row)
          store(sums[row] + x * kLanes, acc[row]);
    }
    for (size_t row = 0; row < kRows; ++row)
      r.post.store(r.target, sums[row], count,
                   r.element + row * row_elements + first * r.s.channels, r.s.channels);
  }
}

inline void run_any_windows(const DepthwiseRow& r, size_t rows) {
  const size_t row_elements = r.s.output_width * r.s.channels;
  for (size_t x = 0; x < r.windows; ++x)
    for (size_t row = 0; row < rows; ++row) {
      Vector acc = load(r.biases + r.first);
      for (size_t set = 0; set < r.c.sets; ++set)
        for (size_t kx = 0; kx < r.s.kernel_w; ++kx) {
          const size_t column = x * r.s.stride_w + kx * r.s.dilation_w;
          acc = dot(acc, load_codes(r.codes + set * r.set_codes + kDepth * column * r.s.channels),
                    load_weights(weights_of(r, row, set, kx)));
        }
      int32_t sums[kLanes];
      store(sums, acc);
      r.post.store(r.target, sums, 1, r.element + row * row_elements + x * r.s.channels, 0);
    }
}

inline void run_windows(const DepthwiseRow& r, size_t rows) {
  constexpr int kSetsOf3 = (3 + static_cast<int>(kDepth) - 1) / static_cast<int>(kDepth);
  if (r.s.kernel_w == 3 && r.c.sets == kSetsOf3 && rows == 1)
    return run_short_windows<1, kSetsOf3, 3>(r);
  if (r.s.kernel_w == 3 && r.c.sets == kSetsOf3 && rows == 2)
    return run_short_windows<2, kSetsOf3, 3>(r);
  run_any_windows(r, rows);
}

// Windows side by side whose channels all fare alike: kLanes accumulators at a time, whatever
// channels they belong to. Rows of one element after the other, so stride 1 only.
inline void run_flat(DepthwiseRow r, size_t rows) {
  const size_t count = r.windows * r.s.channels;
  const size_t row_elements = r.s.output_width * r.s.channels;
  const PostLanes last = r.post.first(lanes_from((count - 1) / kLanes * kLanes, count));
  int32_t sums[kSumsAtOnce * kLanes];
  for (size_t row = 0; row < rows; ++row) {
    size_t put_aside = 0;
    const size_t element = r.element + row * row_elements;
    r.first = 0;
    for (size_t f = 0; f < count; f += kLanes, r.first = (r.first + kLanes) % r.s.channels) {
      Vector acc = load(r.biases + r.first);
      for (size_t set = 0; set < r.c.sets; ++set)
        for (size_t kx = 0; kx < r.s.kernel_w; ++kx) {
          const size_t place = f + kx * r.s.dilation_w * r.s.channels;
          acc = dot(acc, load_codes(r.codes + set * r.set_codes + kDepth * place),
                    load_weights(weights_of(r, row, set, kx)));
        }
      if (f + kLanes > count) {  // fewer are left
        r.post.store(r.target, sums, put_aside, element + f - put_aside * kLanes, kLanes);
        store(sums, acc);
        last.store(r.target, sums, 1, element + f, 0);
        put_aside = 0;
        break;
      }
      store(sums + put_aside * kLanes, acc);
      if (++put_aside == kSumsAtOnce) {
        r.post.store(r.target, sums, put_aside, element + f + kLanes - put_aside * kLanes, kLanes);
        put_aside = 0;
      }
    }
    r.post.store(r.target, sums, put_aside, element + count - put_aside * kLanes, kLanes);
  }
}

template <typename X>
inline void run_depthwise_of(const X* input, const OpToRun& op, const intrt_post_record& post,
                             const Sizes& s) {
  // The last channels are read in whole registers.
  alignas(kBlockAlignment) Code band[kBandCodes + kVectorCodes];
  const Columns c(s);
  const PostLanes* posts = static_cast<const PostLanes*>(op.prepared);
  const int32_t* biases = biases_behind(posts, s);
  const PostTarget target = {op, post};
  const bool flat = channels_alike(post) && s.stride_w == 1 && s.channels % kLanes != 0;
  const size_t begin_row = op.slices.begin * c.output_rows, last = op.slices.end * c.output_rows;
  const size_t end_row = last < s.output_height ? last : s.output_height;
  const size_t most_windows = (c.most_columns - s.reach_w()) / s.stride_w + 1;
  for (size_t ox = 0; ox < s.output_width; ox += most_windows) {
    const size_t windows = most_windows < s.output_width - ox ? most_windows : s.output_width - ox;
    const size_t columns = s.columns_under(windows), set_codes = kDepth * columns * s.channels;
    const ptrdiff_t x0 = static_cast<ptrdiff_t>(ox * s.stride_w) - static_cast<ptrdiff_t>(s.left);
    // As many output rows as fit, `output_rows` for each step.
    const size_t step_codes = c.sets * set_codes;
    const size_t most_rows = kBandCodes / step_codes * c.output_rows;
    for (size_t oy = begin_row; oy < end_row; oy += most_rows) {
      const size_t end = most_rows < end_row - oy ? oy + most_rows : end_row;
      Code* codes = band;
      for (size_t y = oy; y < end; y += c.output_rows)
        for (size_t set = 0; set < c.sets; ++set, codes += set_codes)
          stack_set(s, input,
                    static_cast<ptrdiff_t>(y * s.stride_h) - static_cast<ptrdiff_t>(s.top), set, x0,
                    columns, codes);
      fill_codes(codes, kVectorCodes);
      const auto for_each_step = [&](const auto& run_step) {
        const Code* first_code = band;
        for (size_t y = oy; y < end; y += c.output_rows, first_code += step_codes)
          run_step(first_code, c.output_rows < end - y ? c.output_rows : end - y,
                   (y * s.output_width + ox) * s.channels);
      };
      if (flat) {
        const PostLanes lanes = posts[0].first(kLanes);  // as are those of all channels
        for_each_step([&](const Code* first_code, size_t rows, size_t element) {
          run_flat({s, c, first_code, set_codes, biases, 0, target, lanes, windows, element}, rows);
        });
        continue;
      }
      for (size_t first = 0; first < s.channels; first += kLanes) {
        const PostLanes& lanes = posts[first / kLanes];
        for_each_step([&](const Code* first_code, size_t rows, size_t element) {
          run_windows({s, c, first_code + kDepth * first, set_codes, biases, first, target, lanes,
                       windows, element + first},
                      rows);
        });
      }
    }
  }
}

inline void run_depthwise(const OpToRun& op, const intrt_post_record& post, const Sizes& s) {
  with_input(op, [&](const auto* input) { run_depthwise_of(input, op, post, s); });
}

}  // namespace
}  // namespace intrt
