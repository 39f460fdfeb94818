// Depthwise convolutions with 3x3 windows, four blocks of kLanes channels at a time, a quartet.
// Four rows of the input lie on top of each other, a column after the other: that is a window's
// column and, with a stride of 1, also that of the window below it, with the weights moved down by
// one. Sums become codes without leaving the registers, where a post does not need more of these.
//
// The lanes of four vectors are in the order in which codes are stacked (LaneChannels); biases,
// weights and posts, too, and packing undoes it.
#pragma once

#include "intrt/kernels/vector/depthwise_any.h"

namespace intrt {
namespace {

constexpr size_t kQuartetChannels = 4 * kLanes;
constexpr size_t kColumnCodes = kDepth * kQuartetChannels;  // stacked

struct Quartets3x3 {
  size_t count;
  size_t output_rows;  // that four rows of the input serve

  explicit Quartets3x3(const Sizes& s)
      : count((s.channels + kQuartetChannels - 1) / kQuartetChannels),
        output_rows(Columns(s).output_rows) {}

  static bool fit(const Sizes& s) {
    return s.kernel_h == 3 && s.kernel_w == 3 && s.dilation_h == 1 && s.dilation_w == 1 &&
           s.stride_h == s.stride_w && s.stride_w <= 2 && s.channels >= kQuartetChannels;
  }
  // Of a quartet. The last may have some channels of the one before, too.
  static size_t first_channel(const Sizes& s, size_t quartet) {
    const size_t first = quartet * kQuartetChannels, last = s.channels - kQuartetChannels;
    return first < last ? first : last;
  }
};
// That a quartet has, for each tap of a row and each output row.
constexpr size_t weights_3x3(size_t output_rows) { return 3 * output_rows * kColumnCodes; }

// How the products of a window's columns become sums.
enum class Sums3x3 : uint32_t {
  kAlone,     // each column's for itself
  kShared,    // those of all three first in 16 bits
  kWithRests  // each column's for itself, and that of its rest (pair_sums.h)
};

// Behind a DepthwiseHeader and four posts for each quartet comes for each quartet: this header,
// weights for each tap of a row and each output row and, where there may be, as many rests.
struct alignas(kBlockAlignment) QuartetHeader {
  int32_t biases[kQuartetChannels];
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
  size_t bytes() const { return sizeof(QuartetHeader) + copies * weights * sizeof(Weight); }
};

inline size_t bytes_3x3(const OpToPrepare& op, const Sizes& s) {
  const Quartets3x3 quartets(s);
  const Numbers3x3 numbers(quartets, code_offset(op.input_never_negative));
  return sizeof(DepthwiseHeader) + quartets.count * (4 * sizeof(PostLanes) + numbers.bytes());
}

// Whether the sums of 16 bits of all columns have room for a quartet's products.
inline bool columns_fit(const Weight* weights, size_t output_rows, int most) {
  for (size_t i = 0; i < output_rows * kColumnCodes; i += kDepth) {
    PairSums sums;
    for (size_t kx = 0; kx < 3; ++kx)
      if (sums.add(PairSums(weights + kx * output_rows * kColumnCodes + i), most) > 0) return false;
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
  PostLanes* posts = static_cast<PostLanes*>(static_cast<void*>(&header + 1));
  uint8_t* place = static_cast<uint8_t*>(static_cast<void*>(posts + 4 * quartets.count));
  for (size_t quartet = 0; quartet < quartets.count; ++quartet, place += numbers.bytes()) {
    const auto first = static_cast<uint32_t>(Quartets3x3::first_channel(s, quartet));
    QuartetHeader& of = *static_cast<QuartetHeader*>(static_cast<void*>(place));
    Weight* const weights = static_cast<Weight*>(static_cast<void*>(&of + 1));
    for (uint32_t q = 0; q < 4; ++q) {
      const LaneChannels channels = {first + 4 * q, kLanes, 1};
      new (posts + 4 * quartet + q) PostLanes(op, post, channels);
      for (uint32_t lane = 0; lane < kLanes; ++lane) {
        const size_t channel = channels.channel(lane), in_quartet = q * kLanes + lane;
        StoredWeights::Row row_of(stored, channel);
        uint32_t sum = 0;
        for (size_t ky = 0; ky < 3; ++ky)
          for (size_t kx = 0; kx < 3; ++kx) {
            const int32_t weight = row_of.next();
            sum += static_cast<uint32_t>(weight);
            for (size_t row = 0; row < quartets.output_rows; ++row)
              weights[(kx * quartets.output_rows + row) * kColumnCodes + kDepth * in_quartet + ky +
                      row] = static_cast<Weight>(weight);
          }
        of.biases[in_quartet] =
            start_of(bias == nullptr ? 0 : bias[channel], sum, header.code_offset);
      }
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

// Four rows of the input, of which a quartet's channels are read; a row outside the input is 0.
struct RowsOf3x3 {
  const int8_t* rows[kDepth];  // at column 0
  size_t steps[kDepth];        // from column to column
  uint32_t offset;

  RowsOf3x3(const Sizes& s, const int8_t* input, ptrdiff_t y0, size_t first_channel, uint32_t added)
      : offset(added) {
    static const int8_t kZeros[kQuartetChannels] = {};
    for (size_t k = 0; k < kDepth; ++k) {
      const ptrdiff_t y = y0 + static_cast<ptrdiff_t>(k);
      const bool is_inside = y >= 0 && y < static_cast<ptrdiff_t>(s.height);
      rows[k] = is_inside ? input + static_cast<size_t>(y) * s.width * s.channels + first_channel
                          : kZeros;
      steps[k] = is_inside ? s.channels : 0;
    }
  }

  void stack(const ColumnParts& parts, Code* to) const {
    fill_codes(to, parts.before * kColumnCodes, offset);
    to += parts.before * kColumnCodes;
    const int8_t* now[kDepth];
    for (size_t k = 0; k < kDepth; ++k) now[k] = rows[k] + parts.first * steps[k];
    for (size_t x = 0; x < parts.inside; ++x, to += kColumnCodes) {
      Vector stacked[4];
      stack4(now, offset, stacked);
      for (size_t q = 0; q < 4; ++q) store_codes(to + q * kVectorCodes, stacked[q]);
      if (x + 1 == parts.inside) continue;  // no pointer goes beyond the input
      for (size_t k = 0; k < kDepth; ++k) now[k] += steps[k];
    }
    fill_codes(to, parts.after * kColumnCodes, offset);
  }
};

// The sums of windows beside each other for one of a quartet's four vectors.
template <int kRows, Sums3x3 kSums, int kWindows>
inline void sum_vector(const Code* columns, const int32_t* biases, const Weight* weights,
                       Vector (&sums)[kWindows][kRows]) {
  constexpr size_t kStride = 3 - kRows, kColumns = kStride * (kWindows - 1) + 3;
  Vector codes[kColumns];
  _Pragma("GCC unroll 5") for (size_t i = 0; i < kColumns; ++i) codes[i] =
      load_codes(columns + i * kColumnCodes);
  _Pragma("GCC unroll 2") for (size_t row = 0; row < kRows; ++row) {
    _Pragma("GCC unroll 3") for (size_t kx = 0; kx < 3; ++kx) {
      const Weight* const of_tap = weights + (kx * kRows + row) * kColumnCodes;
      const Vector weight = load_weights(of_tap);
      _Pragma("GCC unroll 2") for (size_t x = 0; x < kWindows; ++x) {
        const auto& code = codes[kStride * x + kx];
        Vector sum;
        if constexpr (kSums == Sums3x3::kShared) {
          const Vector products = pair_sums(code, weight);
          sum = kx == 0 ? products : add_pair_sums(sums[x][row], products);
          // The cast makes the call depend on the template: not all variants have add_up.
          if (kx == 2) sum = add_up(load(biases), decltype(sums[x][row])(sum));
        } else {
          sum = dot(kx == 0 ? load(biases) : sums[x][row], code, weight);
          if (kSums == Sums3x3::kWithRests)
            sum = dot(sum, code, load_weights(of_tap + weights_3x3(kRows)));
        }
        in_register(sum);
        sums[x][row] = sum;
      }
    }
  }
}

// Calls put(q, window, row, sum) for each of a quartet's four vectors, in their order, for windows
// beside each other and each of their output rows.
template <int kRows, Sums3x3 kSums, int kWindows, typename Put>
inline void sum_some_windows(const Code* columns, const QuartetHeader& numbers, const Put& put) {
  _Pragma("GCC unroll 4") for (size_t q = 0; q < 4; ++q) {
    Vector sums[kWindows][kRows];
    sum_vector<kRows, kSums>(columns + q * kVectorCodes, numbers.biases + q * kLanes,
                             numbers.weights() + q * kVectorCodes, sums);
    _Pragma("GCC unroll 2") for (size_t x = 0; x < kWindows; ++x)
        _Pragma("GCC unroll 2") for (size_t row = 0; row < kRows; ++row)
            put(q, x, row, sums[x][row]);
  }
}
template <int kWindows>
struct WindowsAtOnce {
  static constexpr int value = kWindows;
};
// Calls f(the first window, its columns, a WindowsAtOnce) for all of so many windows.
template <int kRows, typename F>
inline void for_each_windows(const Code* columns, size_t count, const F& f) {
  constexpr size_t kStride = 3 - kRows, kAtOnce = kRows;
  size_t x = 0;
  for (; x + kAtOnce <= count; x += kAtOnce, columns += kAtOnce * kStride * kColumnCodes)
    f(x, columns, WindowsAtOnce<kAtOnce>());
  if (x < count) f(x, columns, WindowsAtOnce<1>());
}

// Rows of windows beside each other, each of which makes up to kRows rows of the output.
struct Windows3x3 {
  const Code* columns;  // stacked
  size_t row_codes;     // from those of a row of windows to those of the next
  size_t count, rows;   // windows of a row; rows of the output
  size_t element, step, row_step;
};
// That are stacked at a time, and the windows of a row in these.
constexpr size_t kMostColumns3x3 = 66;
constexpr size_t most_windows_3x3(size_t stride) { return (kMostColumns3x3 - 3) / stride + 1; }

// Calls f(columns, rows of the output that are left, element) for each row of windows.
template <int kRows, typename F>
inline void for_each_row(const Windows3x3& windows, const F& f) {
  const Code* columns = windows.columns;
  size_t element = windows.element;
  for (size_t row = 0; row < windows.rows; row += kRows) {
    f(columns, windows.rows - row, element);
    columns += windows.row_codes;
    element += kRows * windows.row_step;
  }
}

template <int kRows, Sums3x3 kSums>
__attribute__((noinline)) void store_windows(const Target& target, const PostLanes* posts,
                                             const QuartetHeader& numbers,
                                             const Windows3x3& windows) {
  const size_t count = windows.count, step = windows.step, row_step = windows.row_step;
  const bool stored = PostLanes::with_stacked_codes(posts, target, [&](const auto& codes_of) {
    for_each_row<kRows>(windows, [&](const Code* codes, size_t rows, size_t element) {
      int8_t* const to = target.bytes() + element;
      for_each_windows<kRows>(codes, count, [&](size_t first, const Code* columns, auto at_once) {
        constexpr int kWindows = decltype(at_once)::value;
        Vector before[kWindows][kRows];
        PackedWords words[kWindows][kRows];
        sum_some_windows<kRows, kSums, kWindows>(
            columns, numbers, [&](size_t q, size_t x, size_t row, Vector sum) {
              const Vector now = codes_of.code(q, sum);
              if (q == 1) words[x][row] = pack_words(before[x][row], now);
              if (q == 3 && row < rows)
                store_packed4(to + row * row_step + (first + x) * step,
                              codes_of.packed(words[x][row], pack_words(before[x][row], now)));
              before[x][row] = now;
            });
      });
    });
  });
  if (stored) return;
  for_each_row<kRows>(windows, [&](const Code* codes, size_t rows, size_t element) {
    int32_t aside[kRows][most_windows_3x3(3 - kRows) * kQuartetChannels];
    for_each_windows<kRows>(codes, count, [&](size_t first, const Code* columns, auto at_once) {
      sum_some_windows<kRows, kSums, decltype(at_once)::value>(
          columns, numbers, [&](size_t q, size_t x, size_t row, Vector sum) {
            store(aside[row] + (first + x) * kQuartetChannels + q * kLanes, sum);
          });
    });
    for (size_t row = 0; row < kRows && row < rows; ++row)
      PostLanes::store_blocks<4, true>(posts, target, aside[row], count, element + row * row_step,
                                       step);
  });
}

template <int kRows>
inline void store_windows(const Target& target, const PostLanes* posts,
                          const QuartetHeader& numbers, const Windows3x3& windows) {
  if constexpr (kSumsPairs) {
    if (numbers.sums == Sums3x3::kShared)
      return store_windows<kRows, Sums3x3::kShared>(target, posts, numbers, windows);
    if (numbers.sums == Sums3x3::kWithRests)
      return store_windows<kRows, Sums3x3::kWithRests>(target, posts, numbers, windows);
  }
  store_windows<kRows, Sums3x3::kAlone>(target, posts, numbers, windows);
}

template <int kRows>
inline void run_quartets(const Target& target, const Sizes& s) {
  constexpr size_t kStride = 3 - kRows, kMostWindows = most_windows_3x3(kStride);
  const OpToRun& op = target.op;
  const DepthwiseHeader& header = *static_cast<const DepthwiseHeader*>(op.prepared);
  const Quartets3x3 quartets(s);
  const size_t number_bytes = Numbers3x3(quartets, header.code_offset).bytes();
  const int8_t* const input = static_cast<const int8_t*>(op.input_data);
  alignas(kBlockAlignment) Code columns[kMostColumns3x3 * kColumnCodes];
  const size_t end =
      op.slices.end * kRows < s.output_height ? op.slices.end * kRows : s.output_height;
  // Of narrow images several rows of windows at a time.
  const size_t width = s.output_width;
  const size_t most_rows =
      width > kMostWindows ? kRows : kMostColumns3x3 / s.columns_under(width) * kRows;
  for (size_t oy = op.slices.begin * kRows; oy < end; oy += most_rows) {
    const size_t rows = most_rows < end - oy ? most_rows : end - oy;
    const PostLanes* posts = header.posts();
    const uint8_t* place =
        static_cast<const uint8_t*>(static_cast<const void*>(posts + 4 * quartets.count));
    for (size_t quartet = 0; quartet < quartets.count;
         ++quartet, posts += 4, place += number_bytes) {
      const size_t first = Quartets3x3::first_channel(s, quartet);
      const QuartetHeader& numbers =
          *static_cast<const QuartetHeader*>(static_cast<const void*>(place));
      for (size_t ox = 0; ox < width; ox += kMostWindows) {
        const size_t count = kMostWindows < width - ox ? kMostWindows : width - ox;
        const size_t row_codes = s.columns_under(count) * kColumnCodes;
        const ptrdiff_t x0 = static_cast<ptrdiff_t>(ox * kStride) - s.left;
        const ColumnParts parts(x0, s.columns_under(count), s.width);
        Code* to = columns;
        for (size_t row = 0; row < rows; row += kRows, to += row_codes) {
          const ptrdiff_t y0 = static_cast<ptrdiff_t>((oy + row) * kStride) - s.top;
          RowsOf3x3(s, input, y0, first, header.code_offset).stack(parts, to);
        }
        store_windows<kRows>(
            target, posts, numbers,
            {columns, row_codes, count, rows, (oy * width + ox) * s.channels + first, s.channels,
             width * s.channels});
      }
    }
  }
}

inline void run_3x3(const OpToRun& op, const intrt_post_record& post, const Sizes& s) {
  const Target target(op, post);
  Quartets3x3(s).output_rows == 2 ? run_quartets<2>(target, s) : run_quartets<1>(target, s);
}

}  // namespace
}  // namespace intrt
