// Depthwise convolutions with 3x3 windows, a quartet of vectors at a time: four blocks of kLanes
// channels or, where there are fewer channels, 16 elements of several stacks.
// Four rows of the input lie on top of each other, a stack, a column after the other: that is a
// window's column and, with a stride of 1, also that of the window below it, with the weights moved
// down by one. Sums become codes without leaving the registers, where a post does not need more of
// these.
//
// The lanes of four vectors are in the order in which codes are stacked, four by four
// (LaneChannels); starts of sums, weights and posts, too, and packing undoes it.
#pragma once

#include "intrt/kernels/vector/stacks_3x3.h"

namespace intrt {
namespace {

// That a quartet has, for each tap of a row and each output row.
constexpr size_t weights_3x3(size_t output_rows) { return 3 * output_rows * kUnitCodes; }

// How the products of a window's columns become sums.
enum class Sums3x3 : uint32_t {
  kAlone,     // each column's for itself
  kShared,    // those of all three first in 16 bits
  kWithRests  // each column's for itself, and that of its rest (pair_sums.h)
};

// Whether scales as floats have in their addends what sums begin with: where sums of 16 bits become
// such of 32, that is one addition less.
constexpr bool kStartsInAddends = kSumsPairs;

// Behind a DepthwiseHeader comes for each quartet: four posts; this header; weights for each tap of
// a row and each output row and, where there may be, as many rests. Then come the posts' extras.
struct alignas(kBlockAlignment) QuartetHeader {
  int32_t starts[kQuartetElements];  // biases, less what the offset of codes adds
  Sums3x3 sums;

  const Weight* weights() const {
    return static_cast<const Weight*>(static_cast<const void*>(this + 1));
  }
};
static_assert(4 * sizeof(PostLanes) % kBlockAlignment == 0 &&
                  weights_3x3(1) * sizeof(Weight) % kBlockAlignment == 0,
              "headers of quartets are aligned");

struct Numbers3x3 {
  size_t weights, copies;
  Numbers3x3(const Quartets3x3& quartets, uint32_t offset)
      : weights(weights_3x3(quartets.output_rows)), copies(may_have_rests(offset) ? 2 : 1) {}
  // Of a quartet.
  size_t bytes() const {
    return 4 * sizeof(PostLanes) + sizeof(QuartetHeader) + copies * weights * sizeof(Weight);
  }
};

inline size_t bytes_3x3(const OpToPrepare& op, const intrt_post_record& post, const Sizes& s) {
  const Quartets3x3 quartets(s);
  const Numbers3x3 numbers(quartets, code_offset(op.input_never_negative));
  return sizeof(DepthwiseHeader) +
         quartets.count * (numbers.bytes() + 4 * PostLanes::extras_bytes(post));
}

// Whether the sums of 16 bits of all columns have room for a quartet's products.
inline bool columns_fit(const Weight* weights, size_t output_rows, int most) {
  for (size_t i = 0; i < output_rows * kUnitCodes; i += kDepth) {
    PairSums sums;
    for (size_t kx = 0; kx < 3; ++kx) sums.add(weights + kx * output_rows * kUnitCodes + i);
    if (!sums.fit(most)) return false;
  }
  return true;
}

// bias may be null.
inline void prepare_3x3(const OpToPrepare& op, const intrt_post_record& post, const Sizes& s,
                        const StoredWeights& stored, const int32_t* bias, void* to) {
  const Quartets3x3 quartets(s);
  DepthwiseHeader& header = *static_cast<DepthwiseHeader*>(to);
  header.code_offset = code_offset(op.input_never_negative);
  const Numbers3x3 numbers(quartets, header.code_offset);
  uint8_t* place = static_cast<uint8_t*>(static_cast<void*>(&header + 1));
  uint8_t* extras = place + quartets.count * numbers.bytes();
  for (size_t quartet = 0; quartet < quartets.count; ++quartet, place += numbers.bytes()) {
    PostLanes* const posts = static_cast<PostLanes*>(static_cast<void*>(place));
    QuartetHeader& of = *static_cast<QuartetHeader*>(static_cast<void*>(posts + 4));
    Weight* const weights = static_cast<Weight*>(static_cast<void*>(&of + 1));
    for (uint32_t q = 0; q < 4; ++q) {
      const LaneChannels channels = quartets.channels_of(s, quartet, q);
      int64_t starts[kLanes];
      for (uint32_t lane = 0; lane < kLanes; ++lane) {
        const size_t channel = channels.channel(lane), in_quartet = q * kLanes + lane;
        StoredWeights::Row row_of(stored, channel);
        int32_t sum = 0;
        for (size_t ky = 0; ky < 3; ++ky)
          for (size_t kx = 0; kx < 3; ++kx) {
            const int32_t weight = row_of.next();
            sum += weight;
            for (size_t row = 0; row < quartets.output_rows; ++row)
              weights[(kx * quartets.output_rows + row) * kUnitCodes + kDepth * in_quartet + ky +
                      row] = static_cast<Weight>(weight);
          }
        starts[lane] =
            int64_t{bias == nullptr ? 0 : bias[channel]} - int64_t{header.code_offset} * sum;
        of.starts[in_quartet] = static_cast<int32_t>(starts[lane]);
      }
      new (posts + q) PostLanes(op, post, channels, kStartsInAddends ? starts : nullptr, extras);
      extras += PostLanes::extras_bytes(post);
    }
    of.sums = Sums3x3::kAlone;
    if constexpr (kSumsPairs) {
      const int most = most_pair_weights(header.code_offset);
      if (columns_fit(weights, quartets.output_rows, most))
        of.sums = Sums3x3::kShared;
      else if (numbers.copies == 2)
        for (size_t k = 0; k < numbers.weights; k += kDepth)
          if (split_weights(weights + k, weights + numbers.weights + k, most))
            of.sums = Sums3x3::kWithRests;
    }
  }
}

// The sums of units of windows beside each other for one of a quartet's four vectors. kStart: they
// begin with `starts`.
template <typename L, Sums3x3 kSums, bool kStart, int kUnits>
inline void sum_vector(const Code* columns, const int32_t* starts, const Weight* weights,
                       Vector (&sums)[kUnits][L::kRows]) {
  constexpr size_t kRows = L::kRows, kUnitColumns = L::kStride * L::kPixels,
                   kColumns = kUnitColumns * (kUnits - 1) + 3;
  Vector codes[kColumns];
  _Pragma("GCC unroll 7") for (size_t i = 0; i < kColumns; ++i) codes[i] =
      load_codes(columns + i * L::kPixelCodes);
  _Pragma("GCC unroll 2") for (size_t row = 0; row < kRows; ++row) {
    _Pragma("GCC unroll 3") for (size_t kx = 0; kx < 3; ++kx) {
      const Weight* const of_tap = weights + (kx * kRows + row) * kUnitCodes;
      const Vector weight = load_weights(of_tap);
      _Pragma("GCC unroll 2") for (size_t unit = 0; unit < kUnits; ++unit) {
        const auto& code = codes[kUnitColumns * unit + kx];
        // Makes a call depend on the template: not all variants have sums of 16 bits.
        using Sum = decltype(sums[unit][row]);
        Vector sum;
        if constexpr (kSums == Sums3x3::kShared) {
          const Vector products = pair_sums(code, weight);
          sum = kx == 0 ? products : add_pair_sums(sums[unit][row], products);
          if (kx == 2) sum = kStart ? add_up(load(starts), Sum(sum)) : summed_up(Sum(sum));
        } else {
          if (kStart || kx > 0) {
            sum = dot(kx == 0 ? load(starts) : sums[unit][row], code, weight);
          } else if constexpr (!kStart) {
            sum = pair_sums(code, weight);
            sum = summed_up(Sum(sum));
          }
          if (kSums == Sums3x3::kWithRests)
            sum = dot(sum, code, load_weights(of_tap + weights_3x3(kRows)));
        }
        in_register(sum);
        sums[unit][row] = sum;
      }
    }
  }
}

// Calls put(q, unit, row, sum) for each of a quartet's four vectors, in their order, for units of
// windows beside each other and each of their output rows.
template <typename L, Sums3x3 kSums, bool kStart, int kUnits, typename Put>
inline void sum_units(const Code* columns, const QuartetHeader& numbers, const Put& put) {
  _Pragma("GCC unroll 4") for (size_t q = 0; q < 4; ++q) {
    Vector sums[kUnits][L::kRows];
    sum_vector<L, kSums, kStart>(columns + L::codes_of(q), numbers.starts + q * kLanes,
                                 numbers.weights() + q * kVectorCodes, sums);
    _Pragma("GCC unroll 2") for (size_t unit = 0; unit < kUnits; ++unit)
        _Pragma("GCC unroll 2") for (size_t row = 0; row < L::kRows; ++row)
            put(q, unit, row, sums[unit][row]);
  }
}
// Calls f(the first window, its columns, how many units as a Constant) for all of so many windows,
// kPixels or more; for some of them twice where the units do not come out even.
template <typename L, typename F>
inline void for_each_units(const Code* columns, size_t count, const F& f) {
  constexpr int kUnits = 2;
  constexpr size_t kAtOnce = kUnits * L::kPixels, kOfWindow = L::kStride * L::kPixelCodes;
  size_t x = 0;
  for (; x + kAtOnce <= count; x += kAtOnce, columns += kAtOnce * kOfWindow)
    f(x, columns, Constant<kUnits>());
  for (; x + L::kPixels <= count; x += L::kPixels, columns += L::kPixels * kOfWindow)
    f(x, columns, Constant<1>());
  if (L::kPixels > 1 && x < count)
    f(count - L::kPixels, columns - (L::kPixels - (count - x)) * kOfWindow, Constant<1>());
}

// Rows of windows beside each other, each of which makes up to L::kSliceRows rows of the output.
struct Windows3x3 {
  const Code* columns;  // stacked
  size_t row_codes;     // from those of a row of windows to those of the next
  size_t count, rows;   // windows of a row; rows of the output
  size_t element, step, row_step;
};

// Calls f(columns, rows of the output that are left, element) for each row of windows.
template <typename L, typename F>
inline void for_each_row(const Windows3x3& windows, const F& f) {
  const Code* columns = windows.columns;
  size_t element = windows.element;
  for (size_t row = 0; row < windows.rows; row += L::kSliceRows) {
    f(columns, windows.rows - row, element);
    columns += windows.row_codes;
    element += L::kSliceRows * windows.row_step;
  }
}
// Where the sums for one of a stack's output rows go, of all stacks that have it among so many
// rows. Of one stack, the row is there.
template <typename L>
inline QuadPlaces places_of(size_t row, size_t rows, size_t row_step) {
  if (L::kStacks == 1) return {16};
  const size_t stacks = row < rows ? (rows - row + L::kRows - 1) / L::kRows : 0;
  return {L::kRows * row_step, stacks < L::kStacks ? stacks : L::kStacks};
}

template <typename L, Sums3x3 kSums>
__attribute__((noinline)) void store_windows(const Target& target, const PostLanes* posts,
                                             const QuartetHeader& numbers,
                                             const Windows3x3& windows) {
  constexpr size_t kRows = L::kRows;
  const size_t count = windows.count, step = windows.step, row_step = windows.row_step;
  const bool stored =
      PostLanes::with_stacked_codes(posts, target, [&](const auto& codes_of, auto are_floats) {
        for_each_row<L>(windows, [&](const Code* codes, size_t rows, size_t element) {
          int8_t* const to = target.bytes() + element;
          for_each_units<L>(codes, count, [&](size_t first, const Code* columns, auto at_once) {
            constexpr int kUnits = decltype(at_once)::value;
            constexpr bool kStart = !(kStartsInAddends && decltype(are_floats)::value);
            Vector before[kUnits][kRows];
            PackedWords words[kUnits][kRows];
            sum_units<L, kSums, kStart, kUnits>(
                columns, numbers, [&](size_t q, size_t unit, size_t row, Vector sum) {
                  const Vector now = codes_of.code(q, sum);
                  if (q == 1) words[unit][row] = pack_words(before[unit][row], now);
                  if (q == 3) {
                    const auto packed =
                        codes_of.packed(words[unit][row], pack_words(before[unit][row], now));
                    int8_t* const place = to + row * row_step + (first + unit * L::kPixels) * step;
                    if constexpr (L::kStacks > 1)
                      store_quads(place, places_of<L>(row, rows, row_step), packed);
                    else if (row < rows)
                      store_packed4(place, packed);
                  }
                  before[unit][row] = now;
                });
          });
        });
      });
  if (stored) return;
  const bool add_starts = kStartsInAddends && !PostLanes::are_floats<4>(posts, target);
  for_each_row<L>(windows, [&](const Code* codes, size_t rows, size_t element) {
    constexpr size_t kPixels = L::kPixels;
    // Of the units one behind the other.
    int32_t aside[kRows][(L::kMostWindows + kPixels - 1) / kPixels * kQuartetElements];
    for_each_units<L>(codes, count, [&](size_t first, const Code* columns, auto at_once) {
      const size_t unit_of_first = (first + kPixels - 1) / kPixels;
      sum_units<L, kSums, !kStartsInAddends, decltype(at_once)::value>(
          columns, numbers, [&](size_t q, size_t unit, size_t row, Vector sum) {
            if (add_starts) sum = add(sum, load(numbers.starts + q * kLanes));
            store(aside[row] + (unit_of_first + unit) * kQuartetElements + q * kLanes, sum);
          });
    });
    const size_t units = count / kPixels;
    for (size_t row = 0; row < kRows && row < rows; ++row) {
      const QuadPlaces places = places_of<L>(row, rows, row_step);
      const size_t first = element + row * row_step;
      PostLanes::store_blocks<4, true>(posts, target, aside[row], units, first, kPixels * step,
                                       places);
      if (count % kPixels != 0)
        PostLanes::store_blocks<4, true>(posts, target, aside[row] + units * kQuartetElements, 1,
                                         first + (count - kPixels) * step, 0, places);
    }
  });
}

template <typename L>
inline void store_windows(const Target& target, const PostLanes* posts,
                          const QuartetHeader& numbers, const Windows3x3& windows) {
  if constexpr (kSumsPairs) {
    if (numbers.sums == Sums3x3::kShared)
      return store_windows<L, Sums3x3::kShared>(target, posts, numbers, windows);
    if (numbers.sums == Sums3x3::kWithRests)
      return store_windows<L, Sums3x3::kWithRests>(target, posts, numbers, windows);
  }
  store_windows<L, Sums3x3::kAlone>(target, posts, numbers, windows);
}

template <typename L>
inline void run_quartets(const Target& target, const Sizes& s) {
  const OpToRun& op = target.op;
  const DepthwiseHeader& header = *static_cast<const DepthwiseHeader*>(op.prepared);
  const Quartets3x3 quartets(s);
  const size_t quartet_bytes = Numbers3x3(quartets, header.code_offset).bytes();
  const int8_t* const input = static_cast<const int8_t*>(op.input_data);
  alignas(kBlockAlignment) Code columns[kMostColumns3x3 * kUnitCodes];
  const size_t last_row = op.slices.end * L::kSliceRows;
  const size_t end = last_row < s.output_height ? last_row : s.output_height;
  // Of narrow images several rows of windows at a time.
  const size_t width = s.output_width;
  const size_t most_rows = width > L::kMostWindows
                               ? L::kSliceRows
                               : L::kMostColumns / s.columns_under(width) * L::kSliceRows;
  for (size_t oy = op.slices.begin * L::kSliceRows; oy < end; oy += most_rows) {
    const size_t rows = most_rows < end - oy ? most_rows : end - oy;
    // One quartet after the other for the same windows: their rows are still in a cache.
    for (size_t x = 0; x < width; x += L::kMostWindows) {
      // A last unit has windows of the one before, too.
      const size_t ox = x + L::kPixels <= width ? x : width - L::kPixels;
      const size_t count = L::kMostWindows < width - ox ? L::kMostWindows : width - ox;
      const size_t row_codes = s.columns_under(count) * L::kPixelCodes;
      const ptrdiff_t x0 = static_cast<ptrdiff_t>(ox * L::kStride) - s.left;
      const ColumnParts parts(x0, s.columns_under(count), s.width);
      const uint8_t* place = static_cast<const uint8_t*>(static_cast<const void*>(&header + 1));
      for (size_t quartet = 0; quartet < quartets.count; ++quartet, place += quartet_bytes) {
        const size_t first = quartets.first_channel(s, quartet);
        const PostLanes* posts = static_cast<const PostLanes*>(static_cast<const void*>(place));
        const QuartetHeader& numbers =
            *static_cast<const QuartetHeader*>(static_cast<const void*>(posts + 4));
        Code* to = columns;
        for (size_t row = 0; row < rows; row += L::kSliceRows, to += row_codes)
          StackedRows<L>(s, input, oy + row, first, header.code_offset).stack(parts, to);
        store_windows<L>(target, posts, numbers,
                         {columns, row_codes, count, rows, (oy * width + ox) * s.channels + first,
                          s.channels, width * s.channels});
      }
    }
  }
}

inline void run_3x3(const OpToRun& op, const intrt_post_record& post, const Sizes& s) {
  const Target target(op, post);
  with_layout(s, [&](auto layout) { run_quartets<decltype(layout)>(target, s); });
}

}  // namespace
}  // namespace intrt
