// What convolutions and linear layers of this variant share.
//
// vpdpbusd multiplies unsigned by signed bytes, four at a time. So a band of input rows is copied,
// with 128 added to each code and with its padding, to the stack; the bias has 128 times the sum of
// the weights taken off. Weights are prepared: for 16 outputs at a time, four weights of each.
#pragma once

#include <immintrin.h>

#include "intrt/kernels/avx512vnni/post.h"
#include "intrt/kernels/vector/geometry.h"

namespace intrt {
namespace {

constexpr size_t kVectorBytes = 64;
// Of the copied rows; a convolution of which not even one window fits is left to other kernels.
constexpr size_t kBandBytes = 48 * 1024;

inline __m512i biased(__m512i codes) {
  return _mm512_xor_si512(codes, _mm512_set1_epi8(static_cast<char>(0x80)));
}

// Copies codes, each plus 128.
inline void copy_biased(uint8_t* to, const int8_t* from, size_t count) {
  size_t i = 0;
  for (; i + kVectorBytes <= count; i += kVectorBytes)
    _mm512_storeu_si512(to + i, biased(_mm512_loadu_si512(from + i)));
  if (i == count) return;
  const __mmask64 rest = (uint64_t{1} << (count - i)) - 1;
  _mm512_mask_storeu_epi8(to + i, rest, biased(_mm512_maskz_loadu_epi8(rest, from + i)));
}

// As many codes 0.
inline void fill_biased(uint8_t* to, size_t count) {
  const __m512i zero = biased(_mm512_setzero_si512());
  size_t i = 0;
  for (; i + kVectorBytes <= count; i += kVectorBytes) _mm512_storeu_si512(to + i, zero);
  if (i < count) _mm512_mask_storeu_epi8(to + i, (uint64_t{1} << (count - i)) - 1, zero);
}

// Input rows y0 .. and columns x0 .. under a number of windows, those outside the input 0.
// `to` holds rows * columns * channels bytes.
inline void copy_band(const Sizes& s, const int8_t* input, ptrdiff_t y0, size_t rows, ptrdiff_t x0,
                      size_t columns, uint8_t* to) {
  const ptrdiff_t width = static_cast<ptrdiff_t>(s.width);
  const ptrdiff_t end = x0 + static_cast<ptrdiff_t>(columns);
  const ptrdiff_t from = x0 < 0 ? (end < 0 ? end : 0) : x0;
  const ptrdiff_t until = end < width ? end : width;
  const size_t before = static_cast<size_t>(from - x0) * s.channels;
  const size_t inside = until > from ? static_cast<size_t>(until - from) * s.channels : 0;
  const size_t row_bytes = columns * s.channels;
  for (size_t r = 0; r < rows; ++r, to += row_bytes) {
    const ptrdiff_t y = y0 + static_cast<ptrdiff_t>(r);
    if (y < 0 || y >= static_cast<ptrdiff_t>(s.height) || inside == 0) {
      fill_biased(to, row_bytes);
      continue;
    }
    fill_biased(to, before);
    copy_biased(to + before, input + static_cast<size_t>(y * width + from) * s.channels, inside);
    fill_biased(to + before + inside, row_bytes - before - inside);
  }
}

// Where a window's codes lie, in pieces of codes side by side: for each row of taps one, or, with a
// dilation or groups, one for each tap. A piece is taken in whole quads of bytes; weights behind
// its end are 0.
struct Pieces {
  size_t rows, row_step, taps, tap_step, length, quads;

  Pieces(const Sizes& s, size_t row_bytes) : rows(s.kernel_h), row_step(s.dilation_h * row_bytes) {
    const bool side_by_side = s.groups == 1 && s.dilation_w == 1;
    taps = side_by_side ? 1 : s.kernel_w;
    tap_step = s.dilation_w * s.channels;
    length = side_by_side ? s.kernel_w * s.channels : s.group_inputs;
    quads = (length + 3) / 4;
  }

  size_t all_quads() const { return rows * taps * quads; }
};

// Blocks of 16 outputs that tiles multiply at the same time. With few windows beside each other,
// four keep the multipliers busy.
constexpr size_t kMostWindows = 14, kMostWindowsOf4 = 7;
inline size_t blocks_at_once(const Sizes& s, size_t outputs_left) {
  const size_t blocks = (outputs_left + kLanes - 1) / kLanes;
  return blocks >= 4 && s.output_width <= kMostWindowsOf4 ? 4 : blocks >= 2 ? 2 : 1;
}

// Prepared weights, for each group of channels, for each 1, 2 or 4 blocks of its outputs: this
// header; 16 biases for each block; room for a list; for each quad of the window 16 times 4 weights
// for each block. Quads that are 0 for all of these outputs may be left out. The list then says,
// for each row of taps, the number of the quad behind its last; and, for each quad, where its codes
// lie from the begin of their row.
struct alignas(kVectorBytes) BlockHeader {
  uint32_t bytes;  // of header and all
  uint32_t list_bytes;
  uint32_t quads;
  uint32_t has_list;
};
constexpr size_t kListFrom = 8;  // a list is worth it as soon as one in so many quads is 0

inline size_t aligned(size_t bytes) {
  return (bytes + kVectorBytes - 1) / kVectorBytes * kVectorBytes;
}
inline BlockHeader header_of_blocks(const Pieces& pieces, size_t v) {
  const size_t list_bytes = aligned(4 * (pieces.rows + pieces.all_quads()));
  const size_t bytes =
      sizeof(BlockHeader) + list_bytes + v * kVectorBytes * (1 + pieces.all_quads());
  return {static_cast<uint32_t>(bytes), static_cast<uint32_t>(list_bytes),
          static_cast<uint32_t>(pieces.all_quads()), 0};
}

inline size_t dense_bytes(const Sizes& s) {
  const Pieces pieces(s, 0);
  size_t bytes = 0;
  for (size_t left = s.group_outputs; left > 0;) {
    const size_t v = blocks_at_once(s, left);
    bytes += header_of_blocks(pieces, v).bytes;
    left = left > v * kLanes ? left - v * kLanes : 0;
  }
  return s.groups * bytes;
}

// Takes out quads that are 0 and lists the others, where that pays.
inline void leave_out_zeros(const Pieces& pieces, size_t v, BlockHeader& header, uint32_t* list,
                            int8_t* quads) {
  const size_t quad_bytes = v * kVectorBytes, all = pieces.all_quads();
  size_t zeros = 0;
  for (size_t q = 0; q < all; ++q) zeros += all_zero(quads + q * quad_bytes, quad_bytes) ? 1 : 0;
  if (zeros * kListFrom < all) return;
  const int8_t* from = quads;
  uint32_t kept = 0;
  for (size_t row = 0; row < pieces.rows; ++row) {
    for (size_t tap = 0; tap < pieces.taps; ++tap)
      for (size_t quad = 0; quad < pieces.quads; ++quad, from += quad_bytes) {
        if (all_zero(from, quad_bytes)) continue;
        for (size_t i = 0; i < quad_bytes; ++i) quads[kept * quad_bytes + i] = from[i];
        list[pieces.rows + kept++] = static_cast<uint32_t>(tap * pieces.tap_step + 4 * quad);
      }
    list[row] = kept;
  }
  header.quads = kept;
  header.has_list = 1;
}

// bias may be null; `to` is aligned to 64.
inline void prepare_dense(const Sizes& s, const StoredWeights& stored, const int32_t* bias,
                          void* to) {
  const Pieces pieces(s, 0);
  uint8_t* out = static_cast<uint8_t*>(to);
  for (size_t g = 0; g < s.groups; ++g)
    for (size_t first = 0; first < s.group_outputs;) {
      const size_t v = blocks_at_once(s, s.group_outputs - first);
      BlockHeader& header = *static_cast<BlockHeader*>(static_cast<void*>(out));
      header = header_of_blocks(pieces, v);
      int32_t* biases = static_cast<int32_t*>(static_cast<void*>(&header + 1));
      uint32_t* list = static_cast<uint32_t*>(static_cast<void*>(biases + v * kLanes));
      int8_t* quads = static_cast<int8_t*>(static_cast<void*>(list)) + header.list_bytes;
      for (size_t lane = 0; lane < v * kLanes; ++lane) {
        const bool is_there = first + lane < s.group_outputs;
        const size_t o = g * s.group_outputs + (is_there ? first + lane : 0);
        StoredWeights::Row row(stored, o);
        uint32_t sum = 0;
        int8_t* quad = quads + 4 * lane;
        for (size_t piece = 0; piece < pieces.rows * pieces.taps; ++piece)
          for (size_t i = 0; i < 4 * pieces.quads; i += 4, quad += v * kVectorBytes)
            for (size_t k = 0; k < 4; ++k) {
              quad[k] = is_there && i + k < pieces.length ? row.next() : int8_t{0};
              sum += static_cast<uint32_t>(static_cast<int32_t>(quad[k]));
            }
        const uint32_t start =
            is_there && bias != nullptr ? static_cast<uint32_t>(bias[o]) : uint32_t{0};
        biases[lane] = static_cast<int32_t>(start - 128 * sum);
      }
      leave_out_zeros(pieces, v, header, list, quads);
      out += header.bytes;
      first += v * kLanes;
    }
}

inline __m512i broadcast_quad(const uint8_t* bytes) {
  int32_t quad;
  __builtin_memcpy(&quad, bytes, 4);
  return _mm512_set1_epi32(quad);
}

// Windows side by side: where they are read, what they are multiplied with, and where the codes of
// the first go, or, where there is no packer, the sums: of all blocks for it, then for the next.
struct Tile {
  const Pieces& pieces;
  const uint8_t* window;
  size_t window_step;
  const BlockHeader* block;
  const void* packer;
  int8_t* codes;
  size_t step;  // from window to window
  int32_t* sums;
};

template <int P, int V>
inline void add_quad(const uint8_t* codes, size_t step, const uint8_t* w, __m512i (&acc)[P][V]) {
  __m512i weights[V];
  _Pragma("GCC unroll 16") for (int v = 0; v < V; ++v) weights[v] =
      _mm512_load_si512(w + static_cast<size_t>(v) * kVectorBytes);
  _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p) {
    const __m512i code = broadcast_quad(codes + static_cast<size_t>(p) * step);
    _Pragma("GCC unroll 16") for (int v = 0; v < V; ++v) acc[p][v] =
        _mm512_dpbusd_epi32(acc[p][v], code, weights[v]);
  }
}

struct ToSums {};  // in place of a packer's function
template <typename F>
constexpr bool kHasPacker = true;
template <>
constexpr bool kHasPacker<ToSums> = false;

// The sums of P windows for V blocks of 16 outputs; codes at once, where F is a packer's function.
template <int P, int V, typename F = ToSums>
void run_tile(const Tile& t) {
  const uint8_t* const biases = static_cast<const uint8_t*>(static_cast<const void*>(t.block + 1));
  __m512i acc[P][V];
  _Pragma("GCC unroll 16") for (int v = 0; v < V; ++v) {
    const __m512i bias = _mm512_load_si512(biases + static_cast<size_t>(v) * kVectorBytes);
    _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p) acc[p][v] = bias;
  }
  const uint32_t* list =
      static_cast<const uint32_t*>(static_cast<const void*>(biases + V * kVectorBytes));
  const uint8_t* w = biases + V * kVectorBytes + t.block->list_bytes;
  const Pieces& pieces = t.pieces;
  const uint8_t* row = t.window;
  if (t.block->has_list != 0) {
    uint32_t quad = 0;
    for (size_t r = 0; r < pieces.rows; ++r, row += pieces.row_step)
      for (; quad < list[r]; ++quad, w += V * kVectorBytes)
        add_quad<P, V>(row + list[pieces.rows + quad], t.window_step, w, acc);
  } else {
    for (size_t r = 0; r < pieces.rows; ++r, row += pieces.row_step)
      for (size_t tap = 0; tap < pieces.taps; ++tap) {
        const uint8_t* codes = row + tap * pieces.tap_step;
        for (size_t quad = 0; quad < pieces.quads; ++quad, codes += 4, w += V * kVectorBytes)
          add_quad<P, V>(codes, t.window_step, w, acc);
      }
  }
  if constexpr (kHasPacker<F>) {
    const auto& packer = *static_cast<const PostLanes::Packer<V, F>*>(t.packer);
    static_assert(V == 1, "there is none for more");
    constexpr int kPlaces = 4;
    _Pragma("GCC unroll 16") for (int p = 0; p < P; p += kPlaces) {
      const int places = P - p < kPlaces ? P - p : kPlaces;
      packer.store(t.codes + static_cast<size_t>(p) * t.step, t.step, static_cast<size_t>(places),
                   acc[p][0], acc[places > 1 ? p + 1 : p][0], acc[places > 2 ? p + 2 : p][0],
                   acc[places > 3 ? p + 3 : p][0]);
    }
  } else {
    _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p)
        _Pragma("GCC unroll 16") for (int v = 0; v < V; ++v)
            _mm512_store_si512(t.sums + (p * V + v) * static_cast<int>(kLanes), acc[p][v]);
  }
}

using TileFunction = void (*)(const Tile& tile);
// By number of windows, from 1 on. All accumulators, V weights and a code are to fit 32 registers.
constexpr TileFunction kTilesOf1[] = {
    run_tile<1, 1>,  run_tile<2, 1>,  run_tile<3, 1>,  run_tile<4, 1>, run_tile<5, 1>,
    run_tile<6, 1>,  run_tile<7, 1>,  run_tile<8, 1>,  run_tile<9, 1>, run_tile<10, 1>,
    run_tile<11, 1>, run_tile<12, 1>, run_tile<13, 1>, run_tile<14, 1>};
constexpr TileFunction kTilesOf2[] = {
    run_tile<1, 2>,  run_tile<2, 2>,  run_tile<3, 2>,  run_tile<4, 2>, run_tile<5, 2>,
    run_tile<6, 2>,  run_tile<7, 2>,  run_tile<8, 2>,  run_tile<9, 2>, run_tile<10, 2>,
    run_tile<11, 2>, run_tile<12, 2>, run_tile<13, 2>, run_tile<14, 2>};
constexpr TileFunction kTilesOf4[] = {run_tile<1, 4>, run_tile<2, 4>, run_tile<3, 4>,
                                      run_tile<4, 4>, run_tile<5, 4>, run_tile<6, 4>,
                                      run_tile<7, 4>};

// Tiles with packers, of the numbers of windows that rows of usual networks fall into; null for
// others, and for more blocks than one: their sums and what a packer needs do not fit the
// registers.
template <int V, typename F>
TileFunction packing_tile(const PostLanes::Packer<V, F>&, size_t windows) {
  if constexpr (V == 1) {
    if (windows == 8) return run_tile<8, V, F>;
    if (windows == 11) return run_tile<11, V, F>;
    if (windows == 12) return run_tile<12, V, F>;
    if (windows == 14) return run_tile<14, V, F>;
  }
  return nullptr;
}

// Windows of a band: the first of each row lies row_bytes behind that of the row before, and its
// codes go row_elements behind.
struct Rows {
  size_t count, windows, row_bytes, element, row_elements;
};

// Tiles of about one size in each row.
template <int V>
void run_rows(Tile tile, const PostLanes* posts, const Rows& rows) {
  const TileFunction* const tiles = V == 1 ? kTilesOf1 : V == 2 ? kTilesOf2 : kTilesOf4;
  constexpr size_t kMost = V == 4 ? kMostWindowsOf4 : kMostWindows;
  alignas(64) int32_t sums[(kMost * V + 3) / 4 * 4 * kLanes];
  tile.sums = sums;
  // packing(windows) is a tile that packs, or null.
  const auto run_all = [&](const auto& packing) {
    const uint8_t* const first_window = tile.window;
    for (size_t row = 0; row < rows.count; ++row) {
      tile.window = first_window + row * rows.row_bytes;
      size_t element = rows.element + row * rows.row_elements, left = rows.windows;
      for (size_t parts = (left + kMost - 1) / kMost; parts > 0; --parts) {
        const size_t now = (left + parts - 1) / parts;
        if (const TileFunction pack = packing(now)) {
          tile.codes = posts->bytes() + element;
          pack(tile);
        } else {
          tiles[now - 1](tile);
          PostLanes::store_blocks<V>(posts, sums, now, element, tile.step);
        }
        tile.window += now * tile.window_step;
        element += now * tile.step;
        left -= now;
      }
    }
  };
  const bool is_packed = PostLanes::with_packer<V>(posts, [&](const auto& packer) {
    tile.packer = &packer;
    run_all([&](size_t now) { return packing_tile(packer, now); });
  });
  if (!is_packed) run_all([](size_t) { return TileFunction{}; });
}

// Blocks that are multiplied at the same time, in all groups.
inline size_t sets_of_blocks(const Sizes& s) {
  size_t sets = 0;
  for (size_t left = s.group_outputs; left > 0; ++sets) {
    const size_t v = blocks_at_once(s, left);
    left = left > v * kLanes ? left - v * kLanes : 0;
  }
  return s.groups * sets;
}
inline uint32_t dense_slices(const Sizes& s) {
  return static_cast<uint32_t>(sliced_by_outputs(s)  ? sets_of_blocks(s)
                               : s.output_height > 1 ? s.output_height
                                                     : s.output_width);
}

// The outputs of `sets` of the windows of one band: rows x columns windows that begin at output
// (oy, ox).
inline void run_band(const OpToRun& op, const intrt_post_record& post, const Sizes& s,
                     const uint8_t* prepared, const uint8_t* band, size_t band_columns, size_t oy,
                     size_t rows, size_t ox, size_t columns, const Extent& sets) {
  const size_t row_bytes = band_columns * s.channels;
  const Pieces pieces(s, row_bytes);
  const size_t outputs = s.groups * s.group_outputs;
  const uint8_t* block = prepared;
  size_t set = 0;
  for (size_t g = 0; g < s.groups; ++g) {
    size_t left = s.group_outputs;
    for (; left > 0 && set < sets.end; ++set) {
      const size_t v = blocks_at_once(s, left), channel = (g + 1) * s.group_outputs - left;
      const BlockHeader* header = static_cast<const BlockHeader*>(static_cast<const void*>(block));
      const auto lanes = [&](size_t i) {  // of block i
        return PostLanes(op, post, static_cast<uint32_t>(channel + i * kLanes),
                         lanes_from(i * kLanes, left));
      };
      const Tile tile = {pieces,
                         band + g * s.group_inputs,
                         s.stride_w * s.channels,
                         header,
                         nullptr,
                         nullptr,
                         outputs,
                         nullptr};
      const Rows of_band = {rows, columns, s.stride_h * row_bytes,
                            (oy * s.output_width + ox) * outputs + channel,
                            s.output_width * outputs};
      if (set < sets.begin) {
        // Another part's.
      } else if (v == 1) {
        const PostLanes posts[] = {lanes(0)};
        run_rows<1>(tile, posts, of_band);
      } else if (v == 2) {
        const PostLanes posts[] = {lanes(0), lanes(1)};
        run_rows<2>(tile, posts, of_band);
      } else {
        const PostLanes posts[] = {lanes(0), lanes(1), lanes(2), lanes(3)};
        run_rows<4>(tile, posts, of_band);
      }
      block += header->bytes;
      left = left > v * kLanes ? left - v * kLanes : 0;
    }
  }
}

inline bool dense_fits(const Sizes& s) { return band_size(s, kBandBytes, s.channels).columns != 0; }

inline void run_dense(const OpToRun& op, const intrt_post_record& post, const Sizes& s) {
  alignas(64) uint8_t band[kBandBytes + kVectorBytes];
  const int8_t* input = static_cast<const int8_t*>(op.input_data);
  const Part part(s, op.slices);
  for_each_band(
      part, band_size(s, kBandBytes, s.channels),
      [&](size_t oy, size_t rows, size_t ox, size_t columns) {
        const size_t band_columns = s.columns_under(columns), band_rows = s.rows_under(rows);
        copy_band(s, input, static_cast<ptrdiff_t>(oy * s.stride_h) - static_cast<ptrdiff_t>(s.top),
                  band_rows,
                  static_cast<ptrdiff_t>(ox * s.stride_w) - static_cast<ptrdiff_t>(s.left),
                  band_columns, band);
        // A last piece is read in whole quads.
        fill_biased(band + band_rows * band_columns * s.channels, 4);
        run_band(op, post, s, static_cast<const uint8_t*>(op.prepared), band, band_columns, oy,
                 rows, ox, columns, part.sets);
      });
}

}  // namespace
}  // namespace intrt
