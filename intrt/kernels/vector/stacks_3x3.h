// Depthwise convolutions with 3x3 windows: how the input is stacked for them (depthwise_3x3.h).
#pragma once

#include "intrt/kernels/vector/depthwise_any.h"

namespace intrt {
namespace {

constexpr size_t kQuartetElements = 4 * kLanes;           // of all stacks and pixels
constexpr size_t kUnitCodes = kDepth * kQuartetElements;  // of one column of each pixel
// That are stacked at a time.
constexpr size_t kMostColumns3x3 = 66;

// The four vectors of a quartet have the elements of kStacks stacks, four lanes of each by turns; a
// stack's rows are below those of the stack before. These are the channels of one pixel, or of two
// beside each other: a unit. kStride: of the windows.
template <int kStride3x3, int kStacks3x3, int kPixels3x3>
struct Layout3x3 {
  static constexpr size_t kStride = kStride3x3, kStacks = kStacks3x3, kPixels = kPixels3x3;
  static constexpr size_t kRows = 3 - kStride;  // of the output, that a stack serves
  static constexpr size_t kSliceRows = kStacks * kRows;
  static constexpr size_t kPixelCodes = kUnitCodes / kPixels;
  static_assert((kStacks - 1) * kRows * kStride + 1 <= 3,
                "a last slice reads 3 rows behind (chain.h)");
  // Stacked at a time, and the windows over so many.
  static constexpr size_t kMostColumns = kMostColumns3x3 * kPixels,
                          kMostWindows = (kMostColumns - 3) / kStride + 1;

  // How far behind a unit's first codes those of a vector are: the pixels of a unit are those of
  // windows beside each other.
  static constexpr size_t codes_of(size_t vector) {
    constexpr size_t kOfPixel = 4 / kPixels;
    return vector / kOfPixel * kStride * kPixelCodes + vector % kOfPixel * kVectorCodes;
  }
};

struct Quartets3x3 {
  static constexpr size_t kPairChannels = 8;  // with which two pixels are a unit

  size_t pixels, stacks;  // as in a Layout3x3
  size_t channels;        // of a quartet
  size_t count;
  size_t output_rows;  // that a stack serves

  explicit Quartets3x3(const Sizes& s)
      : pixels(s.channels == kPairChannels ? 2 : 1),
        stacks(s.channels < kQuartetElements ? kLanes / 4 : 1),
        channels(kQuartetElements / stacks / pixels),
        count((s.channels + channels - 1) / channels),
        output_rows(3 - s.stride_h) {}

  static bool fit(const Sizes& s) {
    return s.kernel_h == 3 && s.kernel_w == 3 && s.dilation_h == 1 && s.dilation_w == 1 &&
           s.stride_h == s.stride_w && s.stride_w <= 2 &&
           (s.channels >= 16 || (s.channels == kPairChannels && have_pairs(s)));
  }
  // The last may have some channels of the one before, too.
  size_t first_channel(const Sizes& s, size_t quartet) const {
    const size_t first = quartet * channels, last = s.channels - channels;
    return first < last ? first : last;
  }
  LaneChannels channels_of(const Sizes& s, size_t quartet, size_t vector) const {
    const size_t first = first_channel(s, quartet) + 4 * vector % channels;
    return {static_cast<uint32_t>(first), kLanes, stacks == 1 ? 16u : 0u};
  }

 private:
  // Wherever two windows are beside each other, so are two pixels of the input under them.
  static bool have_pairs(const Sizes& s) {
    const ptrdiff_t right = static_cast<ptrdiff_t>(s.columns_under(s.output_width)) - s.left -
                            static_cast<ptrdiff_t>(s.width);
    return s.width >= 2 && s.output_width >= 2 && s.left <= 2 && right <= 2;
  }
};

// Calls f with the Layout3x3 of a convolution.
template <int kStacks, int kPixels, typename F>
inline void with_stride(const Sizes& s, const F& f) {
  if (s.stride_h == 1)
    f(Layout3x3<1, kStacks, kPixels>());
  else
    f(Layout3x3<2, kStacks, kPixels>());
}
template <typename F>
inline void with_layout(const Sizes& s, const F& f) {
  constexpr int kMostStacks = kLanes / 4;
  const Quartets3x3 quartets(s);
  if (quartets.pixels == 2)
    with_stride<kMostStacks, 2>(s, f);
  else if (quartets.stacks == 1)
    with_stride<1, 1>(s, f);
  else
    with_stride<kMostStacks, 1>(s, f);
}

// The rows of the input of a quartet's stacks; a row outside the input is 0.
template <typename L>
struct StackedRows {
  using OfStacks = const int8_t * [L::kStacks];
  OfStacks rows[kDepth];             // at column 0
  size_t steps[kDepth][L::kStacks];  // from column to column
  uint32_t offset;

  // From row oy of the output on.
  StackedRows(const Sizes& s, const int8_t* input, size_t oy, size_t first_channel, uint32_t added)
      : offset(added) {
    static const int8_t kZeros[kQuartetElements] = {};
    for (size_t stack = 0; stack < L::kStacks; ++stack)
      for (size_t k = 0; k < kDepth; ++k) {
        // Of three rows, the third comes again, with weights that are 0: a fourth is not needed
        // yet.
        const size_t row = L::kRows == 1 && k == 3 ? 2 : k;
        const ptrdiff_t y =
            static_cast<ptrdiff_t>((oy + stack * L::kRows) * L::kStride + row) - s.top;
        const bool is_inside = y >= 0 && y < static_cast<ptrdiff_t>(s.height);
        rows[k][stack] = is_inside
                             ? input + static_cast<size_t>(y) * s.width * s.channels + first_channel
                             : kZeros;
        steps[k][stack] = is_inside ? s.channels : 0;
      }
  }

  void stack(const ColumnParts& parts, Code* to) const {
    fill_codes(to, parts.before * L::kPixelCodes, offset);
    to += parts.before * L::kPixelCodes;
    fill_codes(to + parts.inside * L::kPixelCodes, parts.after * L::kPixelCodes, offset);
    if (parts.inside == 0) return;
    if (offset == 0)
      stack_units<false>(parts, to);
    else
      stack_units<true>(parts, to);
  }

 private:
  template <bool kOffset>
  void stack_units(const ColumnParts& parts, Code* to) const {
    OfStacks now[kDepth];
    advance(rows, parts.first, now);
    const auto stack_unit = [&]() __attribute__((always_inline)) {
      Vector codes[kDepth], stacked[4];
      for (size_t k = 0; k < kDepth; ++k) codes[k] = load_rows(now[k]);
      stack4<kOffset>(codes, stacked);
      for (size_t q = 0; q < 4; ++q) store_codes(to + q * kVectorCodes, stacked[q]);
    };
    stack_unit();
    // No pointer goes beyond the input.
    size_t left = parts.inside - L::kPixels;
    for (; left >= L::kPixels; left -= L::kPixels) {
      advance(now, L::kPixels, now);
      to += kUnitCodes;
      stack_unit();
    }
    if (left == 0) return;
    // Some pixels of the unit before, too.
    advance(now, left, now);
    to += left * L::kPixelCodes;
    stack_unit();
  }
  void advance(const OfStacks (&from)[kDepth], size_t columns, OfStacks (&to)[kDepth]) const {
    for (size_t k = 0; k < kDepth; ++k)
      for (size_t stack = 0; stack < L::kStacks; ++stack)
        to[k][stack] = from[k][stack] + columns * steps[k][stack];
  }
};

}  // namespace
}  // namespace intrt
