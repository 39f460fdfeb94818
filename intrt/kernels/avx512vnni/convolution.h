// What convolutions and linear layers of this variant share.
//
// vpdpbusd multiplies unsigned by signed bytes, four at a time. So a band of input rows is copied,
// with 128 added to each code and with its padding, to the stack; the bias has 128 times the sum of
// the weights taken off. Where no code is negative, nothing is added; then windows without padding
// are read where they lie.
#pragma once

#include "intrt/kernels/avx512vnni/short_windows.h"

namespace intrt {
namespace {

// Windows of a band: the first of each row lies row_bytes behind that of the row before, and its
// codes go row_elements behind.
struct Rows {
  size_t count, windows, row_bytes, element, row_elements;
};

// The windows of a tile are stored here, from `element` on.
template <int V>
inline void run_unpacked_tile(const Tile& tile, size_t windows, size_t element) {
  tile_of<static_cast<int>(most_windows(V)), V>(windows)(tile);
  constexpr int kAtOnce = V < 4 ? V : 4;  // all; where they are more, of one window
  for (int v = 0; v < V; v += kAtOnce)
    PostLanes::store_blocks<kAtOnce>(tile.block->posts() + v, tile.target,
                                     tile.sums + v * static_cast<int>(kLanes), windows,
                                     element + static_cast<size_t>(v) * kLanes, tile.step);
}

// Each row in tiles: of short windows, where there are such, and of at most two sizes, which differ
// by one window.
template <int V>
void run_rows(const Tile& of_rows, const Rows& rows) {
  constexpr size_t kMost = most_windows(V);
  alignas(64) int32_t sums[(kMost * V + 3) / 4 * 4 * kLanes];
  // packing(windows) runs tiles with a packer, or is null.
  const auto run_all = [&](const void* packer, const auto& packing, const TileOf& shorts) {
    Tile tile = of_rows;
    tile.packer = packer;
    tile.sums = sums;
    for (size_t row = 0; row < rows.count; ++row) {
      size_t element = rows.element + row * rows.row_elements, left = rows.windows;
      tile.window = of_rows.window + row * rows.row_bytes;
      // `count` times as many windows.
      const auto run = [&](TileFunction function, size_t windows, size_t count) {
        tile.count = count;
        tile.codes = tile.target.bytes() + element;
        if (function != nullptr)
          function(tile);
        else
          run_unpacked_tile<V>(tile, windows, element);
        tile.window += count * windows * tile.window_step;
        element += count * windows * tile.step;
        left -= count * windows;
      };
      if (shorts.run != nullptr && left >= shorts.windows)
        run(shorts.run, shorts.windows, left / shorts.windows);
      for (size_t parts = (left + kMost - 1) / kMost; parts > 0; parts -= tile.count) {
        const size_t windows = (left + parts - 1) / parts;
        const TileFunction function = packing(windows);
        run(function, windows, function == nullptr ? 1 : left - parts * (windows - 1));
      }
    }
  };
  bool is_packed = false;
  if constexpr (V <= 4)
    is_packed = PostLanes::with_packer<V>(of_rows.block->posts(), [&](const auto& packer) {
      run_all(
          &packer, [&](size_t windows) { return packing_tile(packer, windows, of_rows.products); },
          tile_of_short_windows(packer, of_rows));
    });
  if (!is_packed) run_all(nullptr, [](size_t) { return TileFunction{}; }, {nullptr, 0});
}

// Windows of three taps, each one tap behind the one before.
inline bool shares_quads(const Sizes& s) {
  return s.groups == 1 && s.kernel_w == 3 && s.stride_w == 1 && s.dilation_w == 1 &&
         s.channels % 4 == 0;
}

// The outputs of `sets` of the windows of one band: rows x columns windows that begin at output
// (oy, ox).
inline void run_band(const OpToRun& op, const intrt_post_record& post, const Sizes& s,
                     const uint8_t* band, size_t band_columns, size_t oy, size_t rows, size_t ox,
                     size_t columns, const Extent& sets) {
  const size_t row_bytes = band_columns * s.channels;
  const Pieces pieces(s, row_bytes);
  const size_t outputs = s.groups * s.group_outputs;
  const uint8_t* block = static_cast<const uint8_t*>(op.prepared) + sizeof(DenseHeader);
  size_t set = 0;
  for (size_t g = 0; g < s.groups; ++g) {
    size_t left = s.group_outputs;
    for (; left > 0 && set < sets.end; ++set) {
      const size_t v = blocks_at_once(s, left), channel = (g + 1) * s.group_outputs - left;
      const BlockHeader* header = static_cast<const BlockHeader*>(static_cast<const void*>(block));
      const Tile tile = {pieces,
                         band + g * s.group_inputs,
                         s.stride_w * s.channels,
                         header,
                         {op, post},
                         nullptr,
                         nullptr,
                         outputs,
                         header->has_list != 0                   ? Products::kPlain
                         : v == 1 && shares_quads(s)             ? Products::kSharedQuads
                         : v == 2 && left <= kLanes + kLanes / 2 ? Products::kHalfBlock
                                                                 : Products::kPlain,
                         nullptr,
                         0};
      const Rows of_band = {rows, columns, s.stride_h * row_bytes,
                            (oy * s.output_width + ox) * outputs + channel,
                            s.output_width * outputs};
      if (set < sets.begin) {
        // Another part's.
      } else if (v == 1) {
        run_rows<1>(tile, of_band);
      } else if (v == 2) {
        run_rows<2>(tile, of_band);
      } else if (v == 4) {
        run_rows<4>(tile, of_band);
      } else {
        run_rows<8>(tile, of_band);
      }
      block += header->bytes;
      left = left > v * kLanes ? left - v * kLanes : 0;
    }
  }
}

inline bool dense_fits(const Sizes& s) { return band_size(s, kBandBytes, s.channels).columns != 0; }

// Windows that need no copy.
inline void run_in_place(const OpToRun& op, const intrt_post_record& post, const Sizes& s) {
  const uint8_t* input = static_cast<const uint8_t*>(op.input_data);
  const Part part(s, op.slices);
  for_each_band(part, band_size(s, kBandBytes, s.channels),
                [&](size_t oy, size_t rows, size_t ox, size_t columns) {
                  const size_t first = oy * s.stride_h * s.width + ox * s.stride_w;
                  run_band(op, post, s, input + first * s.channels, s.width, oy, rows, ox, columns,
                           part.sets);
                });
}

inline void run_copied(const OpToRun& op, const intrt_post_record& post, const Sizes& s,
                       const Bias& bias) {
  alignas(64) uint8_t band[kBandBytes + kVectorBytes];
  const int8_t* input = static_cast<const int8_t*>(op.input_data);
  const Part part(s, op.slices);
  for_each_band(
      part, band_size(s, kBandBytes, s.channels),
      [&](size_t oy, size_t rows, size_t ox, size_t columns) {
        const size_t band_columns = s.columns_under(columns), band_rows = s.rows_under(rows);
        copy_band(s, bias, input, static_cast<ptrdiff_t>(oy * s.stride_h) - s.top, band_rows,
                  static_cast<ptrdiff_t>(ox * s.stride_w) - s.left, band_columns, band);
        // A last piece is read in whole quads.
        bias.fill(band + band_rows * band_columns * s.channels, 4);
        run_band(op, post, s, band, band_columns, oy, rows, ox, columns, part.sets);
      });
}

inline void run_dense(const OpToRun& op, const intrt_post_record& post, const Sizes& s) {
  const DenseHeader& header = *static_cast<const DenseHeader*>(op.prepared);
  if (header.in_place)
    run_in_place(op, post, s);
  else
    run_copied(op, post, s, header.bias);
}

}  // namespace
}  // namespace intrt
