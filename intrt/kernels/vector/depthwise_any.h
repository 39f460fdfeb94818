// Depthwise convolutions with any window. kDepth rows of taps lie on top of each other in a lane,
// so that one instruction adds up a column of the window, or a part of it. Where that leaves rows
// unused, the same codes serve the next rows of the output with the weights moved down.
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

inline size_t posts_of(const Sizes& s) { return (s.channels + kLanes - 1) / kLanes; }
inline size_t weights_of(const Sizes& s, const Columns& c) {
  return kDepth * c.row_entries * c.output_rows * c.sets * s.kernel_w;
}

// Prepared memory begins with this. Then come, but for depthwise_3x3.h, kLanes channels' posts at a
// time; biases; for each output row, each set and each tap of a row the weights; where there may
// be, as many rests (pair_sums.h); the posts' extras.
struct alignas(kBlockAlignment) DepthwiseHeader {
  uint32_t code_offset;
  bool has_rests;

  const PostLanes* posts() const {
    return static_cast<const PostLanes*>(static_cast<const void*>(this + 1));
  }
  const int32_t* biases(const Sizes& s) const {
    return static_cast<const int32_t*>(static_cast<const void*>(posts() + posts_of(s)));
  }
};

// In front of extras.
inline size_t bytes_before_extras(const OpToPrepare& op, const Sizes& s) {
  const Columns c(s);
  const size_t copies = may_have_rests(code_offset(op.input_never_negative)) ? 2 : 1;
  return aligned(sizeof(DepthwiseHeader) + posts_of(s) * sizeof(PostLanes) + 4 * c.row_entries +
                 copies * sizeof(Weight) * weights_of(s, c));
}
inline size_t bytes_of_any(const OpToPrepare& op, const intrt_post_record& post, const Sizes& s) {
  return bytes_before_extras(op, s) + posts_of(s) * PostLanes::extras_bytes(post);
}

// bias may be null.
inline void prepare_any(const OpToPrepare& op, const intrt_post_record& post, const Sizes& s,
                        const StoredWeights& stored, const int32_t* bias, void* to) {
  const Columns c(s);
  DepthwiseHeader& header = *static_cast<DepthwiseHeader*>(to);
  header.code_offset = code_offset(op.input_never_negative);
  PostLanes* posts = static_cast<PostLanes*>(static_cast<void*>(&header + 1));
  uint8_t* extras = static_cast<uint8_t*>(to) + bytes_before_extras(op, s);
  for (size_t i = 0; i < posts_of(s); ++i, extras += PostLanes::extras_bytes(post))
    new (posts + i) PostLanes(op, post, static_cast<uint32_t>(i * kLanes),
                              lanes_from(i * kLanes, s.channels), extras);
  int32_t* biases = static_cast<int32_t*>(static_cast<void*>(posts + posts_of(s)));
  Weight* all_weights = static_cast<Weight*>(static_cast<void*>(biases + c.row_entries));
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
    biases[i] = start_of(bias == nullptr ? 0 : bias[channel], sum, header.code_offset);
  }
  if constexpr (kSumsPairs)
    if (may_have_rests(header.code_offset)) {
      const size_t count = weights_of(s, c);
      for (size_t k = 0; k < count; k += kDepth)
        header.has_rests |= split_weights(all_weights + k, all_weights + count + k,
                                          most_pair_weights(header.code_offset));
    }
}

// Lays rows on top of each other. A null row is all 0.
template <typename X>
inline void stack_rows(Code* to, const X* const (&rows)[kDepth], size_t count, uint32_t offset) {
  constexpr size_t kAtOnce = 16;
  const X zeros[kAtOnce] = {};
  size_t i = 0;
  for (; i + kAtOnce <= count; i += kAtOnce) {
    const X* now[kDepth];
    for (size_t k = 0; k < kDepth; ++k) now[k] = rows[k] == nullptr ? zeros : rows[k] + i;
    stack(to + kDepth * i, now, offset);
  }
  for (; i < count; ++i)
    for (size_t k = 0; k < kDepth; ++k)
      to[kDepth * i + k] =
          static_cast<Code>((rows[k] == nullptr ? 0 : rows[k][i]) + static_cast<Code>(offset));
}

// Codes of `columns` input columns from x0 on, of the rows that set number `set` of the windows
// from input row y0 on reads.
template <typename X>
inline void stack_set(const Sizes& s, const X* input, ptrdiff_t y0, size_t set, ptrdiff_t x0,
                      size_t columns, uint32_t offset, Code* to) {
  const ColumnParts parts(x0, columns, s.width);
  const size_t column_codes = kDepth * s.channels;
  const X* rows[kDepth];
  for (size_t k = 0; k < kDepth; ++k) {
    const ptrdiff_t y = y0 + static_cast<ptrdiff_t>((kDepth * set + k) * s.dilation_h);
    const bool is_inside = y >= 0 && y < static_cast<ptrdiff_t>(s.height);
    rows[k] =
        is_inside ? input + (static_cast<size_t>(y) * s.width + parts.first) * s.channels : nullptr;
  }
  fill_codes(to, parts.before * column_codes, offset);
  stack_rows(to + parts.before * column_codes, rows, parts.inside * s.channels, offset);
  fill_codes(to + (parts.before + parts.inside) * column_codes, parts.after * column_codes, offset);
}

// One row of windows for some channels, of several output rows at once.
struct DepthwiseRow {
  const Sizes& s;
  const Columns& c;
  const Code* codes;  // of the first window and channel
  size_t set_codes;
  const int32_t* biases;  // prepared
  size_t first;           // channel
  const Target& target;
  const PostLanes* posts;  // of the first and the next channels
  size_t windows, element;
  size_t rests;  // lie so many weights behind weights; 0: there are none
};

inline const Weight* weights_of(const DepthwiseRow& r, size_t row, size_t set, size_t kx) {
  const size_t entry = ((row * r.c.sets + set) * r.s.kernel_w + kx) * r.c.row_entries + r.first;
  return static_cast<const Weight*>(static_cast<const void*>(r.biases + r.c.row_entries)) +
         kDepth * entry;
}
// Adds the products of one set's tap.
inline Vector add_tap(const DepthwiseRow& r, Vector acc, const Code* codes, size_t row, size_t set,
                      size_t kx) {
  const Weight* const weights = weights_of(r, row, set, kx);
  acc = dot(acc, load_codes(codes), load_weights(weights));
  return r.rests == 0 ? acc : dot(acc, load_codes(codes), load_weights(weights + r.rests));
}

// Where the sums of kLanes channels go: those of a window behind those of the one before; then
// those of the next output row.
struct SumPlaces {
  int32_t* sums;
  size_t window_step, row_step;
};
// Of so many windows, the first being `window`, for kLanes channels from `first` on.
using DepthwiseSums = void (*)(const DepthwiseRow& r, size_t window, size_t count, size_t rows,
                               const SumPlaces& to);

// Weights stay in registers; rests, if there are any, in memory.
template <int kRows, int kSets, int kTaps, bool kRests>
void sum_short_windows(const DepthwiseRow& r, size_t window, size_t count, size_t,
                       const SumPlaces& to) {
  const auto weights_at = [&r](int row, int set, int kx) {
    return weights_of(r, static_cast<size_t>(row), static_cast<size_t>(set),
                      static_cast<size_t>(kx));
  };
  decltype(load_weights(weights_at(0, 0, 0))) weights[kRows][kSets][kTaps];
  for (int row = 0; row < kRows; ++row)
    for (int set = 0; set < kSets; ++set)
      for (int kx = 0; kx < kTaps; ++kx)
        weights[row][set][kx] = load_weights(weights_at(row, set, kx));
  const Vector bias = load(r.biases + r.first);
  const size_t window_step = kDepth * r.s.stride_w * r.s.channels;
  const size_t tap_step = kDepth * r.s.dilation_w * r.s.channels;
  const size_t set_codes = r.set_codes;
  const Code* codes = r.codes + window * window_step;
  int32_t* sums = to.sums;
  const size_t sums_step = to.window_step, row_step = to.row_step;
  for (size_t x = 0; x < count; ++x, codes += window_step, sums += sums_step) {
    Vector acc[kRows];
    _Pragma("GCC unroll 4") for (int row = 0; row < kRows; ++row) acc[row] = bias;
    _Pragma("GCC unroll 4") for (int set = 0; set < kSets; ++set)
        _Pragma("GCC unroll 8") for (int kx = 0; kx < kTaps; ++kx) {
      const auto column = load_codes(codes + static_cast<size_t>(set) * set_codes +
                                     static_cast<size_t>(kx) * tap_step);
      _Pragma("GCC unroll 4") for (int row = 0; row < kRows; ++row) {
        acc[row] = dot(acc[row], column, weights[row][set][kx]);
        if (kRests)
          acc[row] = dot(acc[row], column, load_weights(weights_at(row, set, kx) + r.rests));
      }
    }
    _Pragma("GCC unroll 4") for (int row = 0; row < kRows; ++row)
        store(sums + static_cast<size_t>(row) * row_step, acc[row]);
  }
}

inline void sum_any_windows(const DepthwiseRow& r, size_t window, size_t count, size_t rows,
                            const SumPlaces& to) {
  for (size_t x = 0; x < count; ++x)
    for (size_t row = 0; row < rows; ++row) {
      Vector acc = load(r.biases + r.first);
      for (size_t set = 0; set < r.c.sets; ++set)
        for (size_t kx = 0; kx < r.s.kernel_w; ++kx) {
          const size_t column = (window + x) * r.s.stride_w + kx * r.s.dilation_w;
          acc = add_tap(r, acc, r.codes + set * r.set_codes + kDepth * column * r.s.channels, row,
                        set, kx);
        }
      store(to.sums + x * to.window_step + row * to.row_step, acc);
    }
}

inline DepthwiseSums sums_function(const Sizes& s, const Columns& c, size_t rows, bool has_rests) {
  constexpr int kSetsOf3 = (3 + static_cast<int>(kDepth) - 1) / static_cast<int>(kDepth);
  if (s.kernel_w != 3 || c.sets != kSetsOf3 || rows > 2) return sum_any_windows;
  if (kSumsPairs && has_rests)
    return rows == 1 ? sum_short_windows<1, kSetsOf3, 3, kSumsPairs>
                     : sum_short_windows<2, kSetsOf3, 3, kSumsPairs>;
  return rows == 1 ? sum_short_windows<1, kSetsOf3, 3, false>
                   : sum_short_windows<2, kSetsOf3, 3, false>;
}

// Output rows that one set of rows of codes serves at most.
constexpr size_t kMostOutputRows = kDepth;

// V * kLanes channels, or fewer of the last kLanes.
template <int V>
inline void run_windows(DepthwiseRow r, size_t rows) {
  const DepthwiseSums sums_of = sums_function(r.s, r.c, rows, r.rests != 0);
  const size_t row_elements = r.s.output_width * r.s.channels;
  constexpr size_t kAtOnce = kSumsAtOnce / V, kRowSums = kSumsAtOnce * kLanes;
  int32_t sums[kMostOutputRows * kRowSums];
  const size_t first = r.first;
  const Code* const codes = r.codes;
  for (size_t window = 0; window < r.windows; window += kAtOnce) {
    const size_t rest = r.windows - window, count = rest < kAtOnce ? rest : kAtOnce;
    for (size_t v = 0; v < V; ++v) {
      r.first = first + v * kLanes;
      r.codes = codes + v * kVectorCodes;
      sums_of(r, window, count, rows, {sums + v * kLanes, V * kLanes, kRowSums});
    }
    for (size_t row = 0; row < rows; ++row)
      PostLanes::store_blocks<V>(r.posts, r.target, sums + row * kRowSums, count,
                                 r.element + row * row_elements + window * r.s.channels,
                                 r.s.channels);
  }
}

// Windows side by side whose channels all fare alike: kLanes accumulators at a time, whatever
// channels they belong to. Rows of one element after the other, so stride 1 only.
inline void run_flat(DepthwiseRow r, size_t rows) {
  const size_t count = r.windows * r.s.channels;
  const size_t row_elements = r.s.output_width * r.s.channels;
  const PostLanes& lanes = *r.posts;
  const PostLanes last = lanes.first(lanes_from((count - 1) / kLanes * kLanes, count));
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
          acc = add_tap(r, acc, r.codes + set * r.set_codes + kDepth * place, row, set, kx);
        }
      if (f + kLanes > count) {  // fewer are left
        lanes.store(r.target, sums, put_aside, element + f - put_aside * kLanes, kLanes);
        store(sums, acc);
        last.store(r.target, sums, 1, element + f, 0);
        put_aside = 0;
        break;
      }
      store(sums + put_aside * kLanes, acc);
      if (++put_aside == kSumsAtOnce) {
        lanes.store(r.target, sums, put_aside, element + f + kLanes - put_aside * kLanes, kLanes);
        put_aside = 0;
      }
    }
    lanes.store(r.target, sums, put_aside, element + count - put_aside * kLanes, kLanes);
  }
}

template <typename X>
inline void run_any_of(const X* input, const Target& target, const Sizes& s) {
  const OpToRun& op = target.op;
  // The last channels are read in whole registers.
  alignas(kBlockAlignment) Code band[kBandCodes + kVectorCodes];
  const Columns c(s);
  const DepthwiseHeader& header = *static_cast<const DepthwiseHeader*>(op.prepared);
  const uint32_t offset = header.code_offset;
  const PostLanes* posts = header.posts();
  const int32_t* biases = header.biases(s);
  const size_t rests = header.has_rests ? weights_of(s, c) : 0;
  const bool flat = channels_alike(target.post) && s.stride_w == 1 && s.channels % kLanes != 0;
  const size_t begin_row = op.slices.begin * c.output_rows, last = op.slices.end * c.output_rows;
  const size_t end_row = last < s.output_height ? last : s.output_height;
  const size_t most_windows = (c.most_columns - s.reach_w()) / s.stride_w + 1;
  for (size_t ox = 0; ox < s.output_width; ox += most_windows) {
    const size_t windows = most_windows < s.output_width - ox ? most_windows : s.output_width - ox;
    const size_t columns = s.columns_under(windows), set_codes = kDepth * columns * s.channels;
    const ptrdiff_t x0 = static_cast<ptrdiff_t>(ox * s.stride_w) - s.left;
    // As many output rows as fit, `output_rows` for each step.
    const size_t step_codes = c.sets * set_codes;
    const size_t most_rows = kBandCodes / step_codes * c.output_rows;
    for (size_t oy = begin_row; oy < end_row; oy += most_rows) {
      const size_t end = most_rows < end_row - oy ? oy + most_rows : end_row;
      Code* codes = band;
      for (size_t y = oy; y < end; y += c.output_rows)
        for (size_t set = 0; set < c.sets; ++set, codes += set_codes)
          stack_set(s, input, static_cast<ptrdiff_t>(y * s.stride_h) - s.top, set, x0, columns,
                    offset, codes);
      fill_codes(codes, kVectorCodes, offset);
      const auto for_each_step = [&](const auto& run_step) {
        const Code* first_code = band;
        for (size_t y = oy; y < end; y += c.output_rows, first_code += step_codes)
          run_step(first_code, c.output_rows < end - y ? c.output_rows : end - y,
                   (y * s.output_width + ox) * s.channels);
      };
      if (flat) {
        const PostLanes lanes = posts[0].first(kLanes);  // as are those of all channels
        for_each_step([&](const Code* first_code, size_t rows, size_t element) {
          run_flat(
              {s, c, first_code, set_codes, biases, 0, target, &lanes, windows, element, rests},
              rows);
        });
        continue;
      }
      for (size_t first = 0; first < s.channels;) {
        const size_t blocks = (s.channels - first + kLanes - 1) / kLanes;
        const size_t v = blocks >= 4 ? 4 : blocks >= 2 ? 2 : 1;
        for_each_step([&](const Code* first_code, size_t rows, size_t element) {
          (v == 4 ? run_windows<4>
           : v == 2
               ? run_windows<2>
               : run_windows<1>)({s, c, first_code + kDepth * first, set_codes, biases, first,
                                  target, posts + first / kLanes, windows, element + first, rests},
                                 rows);
        });
        first += v * kLanes;
      }
    }
  }
}

inline void run_any(const OpToRun& op, const intrt_post_record& post, const Sizes& s) {
  const Target target(op, post);
  with_input(op, [&](const auto* input) { run_any_of(input, target, s); });
}

}  // namespace
}  // namespace intrt
