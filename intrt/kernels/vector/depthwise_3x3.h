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

// Behind a DepthwiseHeader and four posts for each quartet comes for each quartet: biases, weights
// for each tap of a row and each output row and, where there may be, as many rests (pair_sums.h).
struct Numbers3x3 {
  size_t weights, copies;
  Numbers3x3(const Quartets3x3& quartets, uint32_t offset)
      : weights(weights_3x3(quartets.output_rows)), copies(may_have_rests(offset) ? 2 : 1) {}
  size_t bytes() const { return 4 * kQuartetChannels + copies * weights * sizeof(Weight); }
};

inline size_t bytes_3x3(const OpToPrepare& op, const Sizes& s) {
  const Quartets3x3 quartets(s);
  const Numbers3x3 numbers(quartets, code_offset(op.input_never_negative));
  return sizeof(DepthwiseHeader) + quartets.count * (4 * sizeof(PostLanes) + numbers.bytes());
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
    int32_t* const biases = static_cast<int32_t*>(static_cast<void*>(place));
    Weight* const weights = static_cast<Weight*>(static_cast<void*>(biases + kQuartetChannels));
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
        biases[in_quartet] = start_of(bias == nullptr ? 0 : bias[channel], sum, header.code_offset);
      }
    }
    if constexpr (kSumsPairs)
      if (numbers.copies == 2)
        for (size_t k = 0; k < numbers.weights; k += kDepth)
          header.has_rests |= split_weights(weights + k, weights + numbers.weights + k,
                                            most_pair_weights(header.code_offset));
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

// Calls put(window, row, sums) for windows beside each other and each of their output rows.
template <int kRows, bool kRests, typename Put>
inline void sum_windows(const Code* columns, size_t count, const uint8_t* numbers, const Put& put) {
  constexpr int kStride = 3 - kRows;
  constexpr size_t kWeights = weights_3x3(kRows);
  const int32_t* const biases = static_cast<const int32_t*>(static_cast<const void*>(numbers));
  const Weight* const weights =
      static_cast<const Weight*>(static_cast<const void*>(biases + kQuartetChannels));
  for (size_t x = 0; x < count; ++x, columns += kStride * kColumnCodes) {
    Vector sums[kRows][4];
    _Pragma("GCC unroll 4") for (size_t q = 0; q < 4; ++q)
        _Pragma("GCC unroll 3") for (size_t kx = 0; kx < 3; ++kx) {
      const Vector codes = load_codes(columns + kx * kColumnCodes + q * kVectorCodes);
      _Pragma("GCC unroll 2") for (size_t row = 0; row < kRows; ++row) {
        const Weight* const of_tap = weights + (kx * kRows + row) * kColumnCodes + q * kVectorCodes;
        const Vector before = kx == 0 ? load(biases + q * kLanes) : sums[row][q];
        sums[row][q] = dot(before, codes, load_weights(of_tap));
        if (kRests) sums[row][q] = dot(sums[row][q], codes, load_weights(of_tap + kWeights));
        in_register(sums[row][q]);
      }
    }
    _Pragma("GCC unroll 2") for (size_t row = 0; row < kRows; ++row) put(x, row, sums[row]);
  }
}

template <int kRows, bool kRests>
inline void run_quartets(const Target& target, const Sizes& s) {
  constexpr size_t kStride = 3 - kRows, kMostWindows = 32;
  const OpToRun& op = target.op;
  const DepthwiseHeader& header = *static_cast<const DepthwiseHeader*>(op.prepared);
  const Quartets3x3 quartets(s);
  const size_t number_bytes = Numbers3x3(quartets, header.code_offset).bytes();
  const int8_t* const input = static_cast<const int8_t*>(op.input_data);
  alignas(kBlockAlignment) Code columns[(kStride * (kMostWindows - 1) + 3) * kColumnCodes];
  for (size_t oy = op.slices.begin * kRows; oy < op.slices.end * kRows; oy += kRows) {
    const size_t rows = kRows < s.output_height - oy ? kRows : s.output_height - oy;
    const ptrdiff_t y0 = static_cast<ptrdiff_t>(oy * kStride) - s.top;
    const PostLanes* posts = header.posts();
    const uint8_t* numbers =
        static_cast<const uint8_t*>(static_cast<const void*>(posts + 4 * quartets.count));
    for (size_t quartet = 0; quartet < quartets.count;
         ++quartet, posts += 4, numbers += number_bytes) {
      const size_t first = Quartets3x3::first_channel(s, quartet);
      const RowsOf3x3 input_rows(s, input, y0, first, header.code_offset);
      for (size_t ox = 0; ox < s.output_width; ox += kMostWindows) {
        const size_t left = s.output_width - ox, count = left < kMostWindows ? left : kMostWindows;
        const ptrdiff_t x0 = static_cast<ptrdiff_t>(ox * kStride) - s.left;
        input_rows.stack(ColumnParts(x0, s.columns_under(count), s.width), columns);
        const size_t element = (oy * s.output_width + ox) * s.channels + first;
        const size_t row_step = s.output_width * s.channels, step = s.channels;
        const bool stored = PostLanes::with_stacked_codes(posts, target, [&](const auto& codes_of) {
          int8_t* const to = target.bytes() + element;
          sum_windows<kRows, kRests>(
              columns, count, numbers, [=](size_t x, size_t row, const Vector(&sums)[4]) {
                if (row < rows) store_packed4(to + row * row_step + x * step, codes_of(sums));
              });
        });
        if (stored) continue;
        int32_t aside[kRows][kMostWindows * kQuartetChannels];
        sum_windows<kRows, kRests>(
            columns, count, numbers, [&](size_t x, size_t row, const Vector(&sums)[4]) {
              for (size_t q = 0; q < 4; ++q)
                store(aside[row] + x * kQuartetChannels + q * kLanes, sums[q]);
            });
        for (size_t row = 0; row < rows; ++row)
          PostLanes::store_blocks<4, true>(posts, target, aside[row], count,
                                           element + row * row_step, step);
      }
    }
  }
}

inline void run_3x3(const OpToRun& op, const intrt_post_record& post, const Sizes& s) {
  const Target target(op, post);
  // Without sums of pairs there are no rests.
  const bool two_rows = Quartets3x3(s).output_rows == 2;
  if (static_cast<const DepthwiseHeader*>(op.prepared)->has_rests)
    two_rows ? run_quartets<2, kSumsPairs>(target, s) : run_quartets<1, kSumsPairs>(target, s);
  else
    two_rows ? run_quartets<2, false>(target, s) : run_quartets<1, false>(target, s);
}

}  // namespace
}  // namespace intrt
