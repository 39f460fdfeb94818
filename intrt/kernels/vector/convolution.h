// What convolutions and linear layers share. Include the variant's vector.h or wide.h before.
//
// A band of input rows is copied with its padding to the stack, in the form in which the variant
// multiplies. Weights are prepared: for kLanes outputs at a time, kDepth weights of each, which one
// instruction multiplies with as many codes.
#pragma once

#include "intrt/kernels/vector/post.h"
#include "intrt/kernels/vector/weights.h"

namespace intrt {
namespace {

// Of the copied rows; a convolution of which not even one window fits is left to other kernels.
constexpr size_t kBandCodes = 48 * 1024 / sizeof(Code);

// Calls f with the input's codes. Those of 16 bits go with weights of 16 bits.
template <typename F>
inline void with_input(const OpToRun& op, const F& f) {
  if constexpr (sizeof(Weight) == 2)
    with_codes(op.input_data, op.input.type, f);
  else
    f(static_cast<const int8_t*>(op.input_data));
}

template <typename X>
inline void copy_codes(Code* to, const X* from, size_t count, uint32_t offset) {
  for (size_t i = 0; i < count; ++i) to[i] = static_cast<Code>(from[i] + static_cast<Code>(offset));
}
// Codes 0.
inline void fill_codes(Code* to, size_t count, uint32_t offset) {
  for (size_t i = 0; i < count; ++i) to[i] = static_cast<Code>(offset);
}

// Input rows y0 .. and columns x0 .. under a number of windows, those outside the input 0.
// `to` holds rows * columns * channels codes.
template <typename X>
inline void copy_band(const Sizes& s, const X* input, ptrdiff_t y0, size_t rows, ptrdiff_t x0,
                      size_t columns, uint32_t offset, Code* to) {
  const ColumnParts parts(x0, columns, s.width);
  const size_t before = parts.before * s.channels, inside = parts.inside * s.channels;
  for (size_t r = 0; r < rows; ++r, to += columns * s.channels) {
    const ptrdiff_t y = y0 + static_cast<ptrdiff_t>(r);
    if (y < 0 || y >= static_cast<ptrdiff_t>(s.height) || inside == 0) {
      fill_codes(to, columns * s.channels, offset);
      continue;
    }
    fill_codes(to, before, offset);
    copy_codes(to + before, input + (static_cast<size_t>(y) * s.width + parts.first) * s.channels,
               inside, offset);
    fill_codes(to + before + inside, parts.after * s.channels, offset);
  }
}

inline size_t blocks_at_once(const Sizes& s, size_t outputs_left) {
  const size_t blocks = (outputs_left + kLanes - 1) / kLanes;
  return blocks >= 4 && s.output_width <= kFourBlocksUpTo ? 4 : blocks >= 2 ? 2 : 1;
}

// Prepared memory begins with this; then come the blocks.
struct alignas(kBlockAlignment) DenseHeader {
  uint32_t code_offset;
};

template <typename Stored>
inline size_t dense_bytes(const OpToPrepare& op, const Sizes& s, const Stored& stored) {
  size_t bytes = sizeof(DenseHeader) + all_blocks_bytes(s);
  if constexpr (kSumsPairs)
    bytes += all_rests_bytes(s, stored, code_offset(op.input_never_negative));
  return bytes;
}
template <typename Stored>
inline void prepare_dense(const OpToPrepare& op, const intrt_post_record& post, const Sizes& s,
                          const Stored& stored, const int32_t* bias, void* to) {
  DenseHeader& header = *static_cast<DenseHeader*>(to);
  header.code_offset = code_offset(op.input_never_negative);
  prepare_blocks(op, post, s, stored, bias, header.code_offset, &header + 1);
}

// One row of windows, as far as tiles go: where it reads, what it multiplies with, and where its
// sums go.
struct Tile {
  const Pieces& pieces;
  const Code* window;
  size_t window_step;
  const BlockHeader* block;
  int32_t* sums;  // of all blocks for the first window, then for the next
};

template <int P, int V>
inline void add_step(const Code* codes, size_t window_step, const Weight* w, Vector (&acc)[P][V]) {
  decltype(load_weights(w)) weights[V];
  _Pragma("GCC unroll 16") for (int v = 0; v < V; ++v) weights[v] =
      load_weights(w + static_cast<size_t>(v) * kVectorCodes);
  _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p) {
    const auto code = broadcast_codes(codes + static_cast<size_t>(p) * window_step);
    _Pragma("GCC unroll 16") for (int v = 0; v < V; ++v) acc[p][v] =
        dot(acc[p][v], code, weights[v]);
  }
}

// The same of two steps, which share sums of 16 bits.
template <int P, int V>
inline void add_two_steps(const Code* codes, size_t window_step, const Weight* w,
                          Vector (&acc)[P][V]) {
  decltype(load_weights(w)) weights[2][V];
  _Pragma("GCC unroll 2") for (size_t i = 0; i < 2; ++i)
      _Pragma("GCC unroll 16") for (size_t v = 0; v < V; ++v) weights[i][v] =
          load_weights(w + (i * V + v) * kVectorCodes);
  _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p) {
    const Code* const of_window = codes + static_cast<size_t>(p) * window_step;
    const auto first = broadcast_codes(of_window), second = broadcast_codes(of_window + kDepth);
    _Pragma("GCC unroll 16") for (int v = 0; v < V; ++v) acc[p][v] =
        add_up(acc[p][v],
               add_pair_sums(pair_sums(first, weights[0][v]), pair_sums(second, weights[1][v])));
  }
}

// Steps of a list, from a row of taps to the next.
template <int P, int V>
inline void add_listed_steps(const Tile& t, const uint32_t* list, const Weight* w,
                             Vector (&acc)[P][V]) {
  const Pieces& pieces = t.pieces;
  const Code* row = t.window;
  uint32_t step = 0;
  for (size_t r = 0; r < pieces.rows; ++r, row += pieces.row_step)
    for (; step < list[r]; ++step, w += V * kVectorCodes)
      add_step<P, V>(row + list[pieces.rows + step], t.window_step, w, acc);
}

// Steps side by side.
template <int P, int V>
inline void add_piece(const Tile& t, const Code* codes, const Weight* w, Vector (&acc)[P][V]) {
  size_t step = 0;
  if constexpr (kSumsPairs)
    if (t.block->shares_sums != 0)
      for (; step + 2 <= t.pieces.steps; step += 2, codes += 2 * kDepth, w += 2 * V * kVectorCodes)
        add_two_steps<P, V>(codes, t.window_step, w, acc);
  for (; step < t.pieces.steps; ++step, codes += kDepth, w += V * kVectorCodes)
    add_step<P, V>(codes, t.window_step, w, acc);
}

// The sums of P windows for V blocks of outputs.
template <int P, int V>
void run_tile(const Tile& t) {
  const PostLanes* const posts = t.block->posts();
  const int32_t* const biases = static_cast<const int32_t*>(static_cast<const void*>(posts + V));
  Vector acc[P][V];
  _Pragma("GCC unroll 16") for (int v = 0; v < V; ++v) {
    const Vector bias = load(biases + static_cast<size_t>(v) * kLanes);
    _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p) acc[p][v] = bias;
  }
  const void* const behind_biases = biases + V * kLanes;
  const uint32_t* list = static_cast<const uint32_t*>(behind_biases);
  const Weight* w = static_cast<const Weight*>(
      static_cast<const void*>(static_cast<const uint8_t*>(behind_biases) + t.block->list_bytes));
  if (t.block->has_list != 0) {
    add_listed_steps<P, V>(t, list, w, acc);
  } else {
    const Pieces& pieces = t.pieces;
    const Code* row = t.window;
    for (size_t r = 0; r < pieces.rows; ++r, row += pieces.row_step)
      for (size_t tap = 0; tap < pieces.taps; ++tap, w += pieces.steps * V * kVectorCodes)
        add_piece<P, V>(t, row + tap * pieces.tap_step, w, acc);
  }
  if constexpr (kSumsPairs)
    if (t.block->rests != 0) {
      const uint8_t* const rests =
          static_cast<const uint8_t*>(static_cast<const void*>(t.block)) + t.block->rests;
      add_listed_steps<P, V>(
          t, static_cast<const uint32_t*>(static_cast<const void*>(rests)),
          static_cast<const Weight*>(static_cast<const void*>(rests + t.block->rest_list_bytes)),
          acc);
    }
  _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p)
      _Pragma("GCC unroll 16") for (int v = 0; v < V; ++v)
          store(t.sums + static_cast<size_t>(p * V + v) * kLanes, acc[p][v]);
}

using TileFunction = void (*)(const Tile& tile);
// For 1 .. P windows.
template <int P, int V>
inline TileFunction tile_of(size_t windows) {
  if constexpr (P == 1)
    return run_tile<1, V>;
  else
    return windows == P ? run_tile<P, V> : tile_of<P - 1, V>(windows);
}

// A row of `windows` windows for V blocks, in tiles of about one size. Their codes go to the
// elements from `element` on, `step` apart.
template <size_t V, size_t kMostWindows>
inline void run_row(Tile tile, size_t windows, const Target& target, size_t element, size_t step) {
  static_assert(kMostWindows <= kSumsAtOnce, "there is room for a tile's sums");
  int32_t sums[kSumsAtOnce * V * kLanes];
  size_t parts = (windows + kMostWindows - 1) / kMostWindows, put_aside = 0;
  for (; windows > 0; --parts) {
    const size_t now = (windows + parts - 1) / parts;
    tile.sums = sums + put_aside * V * kLanes;
    tile_of<static_cast<int>(kMostWindows), static_cast<int>(V)>(now)(tile);
    tile.window += now * tile.window_step;
    windows -= now;
    put_aside += now;
    if (windows > 0 && put_aside + kMostWindows <= kSumsAtOnce) continue;
    PostLanes::store_blocks<static_cast<int>(V)>(tile.block->posts(), target, sums, put_aside,
                                                 element, step);
    element += put_aside * step;
    put_aside = 0;
  }
}

// A convolution that was prepared, and where its outputs go: which element the first is, and from
// one row and one column to the next so many.
struct Dense {
  const Sizes& s;
  const DenseHeader& header;
  size_t first, row_step, column_step;
};

// rows x columns windows that begin at output (oy, ox), with the input under them.
struct Band {
  const Code* codes;
  size_t row_codes;
  size_t oy, rows, ox, columns;
};

// Outputs of the windows of one band: those of V blocks from `channel` on, `left` of them in the
// group g.
template <size_t V, size_t kMostWindows>
inline void run_blocks(const Target& target, const Dense& dense, const Band& band, size_t g,
                       size_t left, const BlockHeader* header) {
  const Sizes& s = dense.s;
  const Pieces pieces(s, band.row_codes);
  const size_t channel = (g + 1) * s.group_outputs - left;
  for (size_t r = 0; r < band.rows; ++r)
    run_row<V, kMostWindows>(
        {pieces, band.codes + r * s.stride_h * band.row_codes + g * s.group_inputs,
         s.stride_w * s.channels, header, nullptr},
        band.columns, target,
        dense.first + (band.oy + r) * dense.row_step + band.ox * dense.column_step + channel,
        dense.column_step);
}

// The outputs of `sets` of blocks, for the windows of one band.
inline void run_band(const Target& target, const Dense& dense, const Band& band,
                     const Extent& sets) {
  const Sizes& s = dense.s;
  const uint8_t* block = static_cast<const uint8_t*>(static_cast<const void*>(&dense.header + 1));
  size_t set = 0;
  for (size_t g = 0; g < s.groups; ++g)
    for (size_t left = s.group_outputs; left > 0 && set < sets.end; ++set) {
      const BlockHeader* header = static_cast<const BlockHeader*>(static_cast<const void*>(block));
      const size_t v = blocks_at_once(s, left);
      if (set >= sets.begin)
        (v == 1   ? run_blocks<1, kMostWindowsOf1>
         : v == 2 ? run_blocks<2, kMostWindowsOf2>
                  : run_blocks<4, kMostWindowsOf4>)(target, dense, band, g, left, header);
      block += header->bytes;
      left = left > v * kLanes ? left - v * kLanes : 0;
    }
}

// Whether the bands of a dense convolution hold a window.
inline bool dense_fits(const Sizes& s) { return band_size(s, kBandCodes, s.channels).columns != 0; }

template <typename X>
inline void run_part(const X* input, const Target& target, const Dense& dense, const Part& part) {
  // A last piece is read in whole steps.
  alignas(kBlockAlignment) Code codes[kBandCodes + kDepth];
  const Sizes& s = dense.s;
  const uint32_t offset = dense.header.code_offset;
  for_each_band(
      part, band_size(s, kBandCodes, s.channels),
      [&](size_t oy, size_t rows, size_t ox, size_t columns) {
        const size_t band_columns = s.columns_under(columns), band_rows = s.rows_under(rows);
        copy_band(s, input, static_cast<ptrdiff_t>(oy * s.stride_h) - s.top, band_rows,
                  static_cast<ptrdiff_t>(ox * s.stride_w) - s.left, band_columns, offset, codes);
        const size_t row_codes = band_columns * s.channels;
        fill_codes(codes + band_rows * row_codes, kDepth, offset);
        run_band(target, dense, {codes, row_codes, oy, rows, ox, columns}, part.sets);
      });
}

inline void run_dense(const OpToRun& op, const intrt_post_record& post, const Sizes& s) {
  const Target target(op, post);
  const size_t outputs = s.groups * s.group_outputs;
  const Dense dense = {s, *static_cast<const DenseHeader*>(op.prepared), 0,
                       s.output_width * outputs, outputs};
  with_input(op, [&](const auto* input) { run_part(input, target, dense, Part(s, op.slices)); });
}

}  // namespace
}  // namespace intrt
