// Tiles: windows side by side times blocks of outputs, all of whose sums lie in registers.
#pragma once

#include "intrt/kernels/avx512vnni/packing.h"
#include "intrt/kernels/avx512vnni/weights.h"

namespace intrt {
namespace {

inline __m512i broadcast_quad(const uint8_t* bytes) {
  int32_t quad;
  __builtin_memcpy(&quad, bytes, 4);
  return _mm512_set1_epi32(quad);
}

// How the products of a tile are formed.
enum class Products {
  kPlain,        // each window's quads with all blocks
  kSharedQuads,  // a quad serves up to three windows, of three taps each
  kHalfBlock     // of two blocks the second has at most 8 outputs: two windows share its registers
};

// Windows side by side, `count` times as many as a tile has: where they are read, what they are
// multiplied with, and where the codes of the first go, or, where there is no packer, the sums of
// one tile: of all blocks for its first window, then for the next.
struct Tile {
  const Pieces& pieces;
  const uint8_t* window;
  size_t window_step;
  const BlockHeader* block;
  PostTarget target;
  const void* packer;
  int8_t* codes;
  size_t step;        // from window to window
  Products products;  // that tiles may have
  int32_t* sums;
  size_t count;
};

// Where a quad of P windows lies. For each four windows there is a pointer, so that the few
// registers for addresses suffice: a core adds up to three times a step as it loads.
template <int P>
struct Places {
  static constexpr int kFours = (P + 3) / 4;

  const uint8_t* fours[kFours];
  size_t step, step3;

  Places(const uint8_t* first, size_t window_step) : step(window_step), step3(3 * window_step) {
    asm("" : "+r"(step3));  // not to be computed anew, nor the pointers from each other
    _Pragma("GCC unroll 5") for (int i = 0; i < kFours; ++i) fours[i] =
        first + static_cast<size_t>(4 * i) * window_step;
  }

  __attribute__((always_inline)) void move(size_t bytes) {
    _Pragma("GCC unroll 5") for (int i = 0; i < kFours; ++i) {
      fours[i] += bytes;
      asm("" : "+r"(fours[i]));
    }
  }
  __attribute__((always_inline)) const uint8_t* at(int p) const {
    const int i = p % 4;
    return fours[p / 4] + (i == 0 ? 0 : i == 1 ? step : i == 2 ? 2 * step : step3);
  }
};

template <int P, int V>
inline void add_quad(const Places<P>& places, const uint8_t* w, __m512i (&acc)[P][V]) {
  // Of 32 registers, sums, a code and weights; if these are too many, the last weights are read for
  // each window. GCC would put a sum into memory.
  constexpr bool kReadsLast = P * V + 1 + V > 32;
  constexpr int kHeld = kReadsLast ? V - 1 : V;
  __m512i weights[V];
  _Pragma("GCC unroll 16") for (int v = 0; v < kHeld; ++v) weights[v] =
      _mm512_load_si512(w + static_cast<size_t>(v) * kVectorBytes);
  _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p) {
    const __m512i code = broadcast_quad(places.at(p));
    _Pragma("GCC unroll 16") for (int v = 0; v < kHeld; ++v) acc[p][v] =
        _mm512_dpbusd_epi32(acc[p][v], code, weights[v]);
    if constexpr (kReadsLast) {
      asm("" : "+r"(w));  // not to be held
      acc[p][V - 1] = _mm512_dpbusd_epi32(
          acc[p][V - 1], code, _mm512_load_si512(w + static_cast<size_t>(V - 1) * kVectorBytes));
    }
  }
}

// Windows of three taps, each one tap behind the window before, so that a quad serves up to three
// of them; w: of the first tap, w_step bytes before the next.
template <int P>
inline void add_shared_quad(const Places<P + 2>& columns, const uint8_t* w, size_t w_step,
                            __m512i (&acc)[P][1]) {
  const __m512i weights[] = {_mm512_load_si512(w), _mm512_load_si512(w + w_step),
                             _mm512_load_si512(w + 2 * w_step)};
  _Pragma("GCC unroll 18") for (int column = 0; column < P + 2; ++column) {
    const __m512i code = broadcast_quad(columns.at(column));
    _Pragma("GCC unroll 3") for (int tap = 0; tap < 3; ++tap) {
      const int p = column - tap;
      if (p >= 0 && p < P) acc[p][0] = _mm512_dpbusd_epi32(acc[p][0], code, weights[tap]);
    }
  }
}

// 16 outputs of each window, and 8 of each pair.
template <int P>
struct HalfBlock {
  __m512i pairs[(P + 1) / 2];

  static __m512i twice(const void* half) {
    return _mm512_broadcast_i64x4(_mm256_load_si256(static_cast<const __m256i*>(half)));
  }
  explicit HalfBlock(const int32_t* biases) {
    const __m512i bias = twice(biases);
    _Pragma("GCC unroll 8") for (__m512i& pair : pairs) pair = bias;
  }

  __attribute__((always_inline)) void add_quad(const Places<P>& places, const uint8_t* w,
                                               __m512i (&acc)[P][2]) {
    constexpr __mmask16 kUpper = 0xFF00;
    const __m512i weights = _mm512_load_si512(w), of_pairs = twice(w + kVectorBytes);
    _Pragma("GCC unroll 8") for (int p = 0; p < P; p += 2) {
      __m512i code = broadcast_quad(places.at(p));
      acc[p][0] = _mm512_dpbusd_epi32(acc[p][0], code, weights);
      if (p + 1 < P) {
        const __m512i next = broadcast_quad(places.at(p + 1));
        acc[p + 1][0] = _mm512_dpbusd_epi32(acc[p + 1][0], next, weights);
        code = _mm512_mask_blend_epi32(kUpper, code, next);
      }
      pairs[p / 2] = _mm512_dpbusd_epi32(pairs[p / 2], code, of_pairs);
    }
  }

  // Behind the 8 outputs of a window may come those of another.
  __attribute__((always_inline)) void part(__m512i (&acc)[P][2]) const {
    _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p) acc[p][1] =
        p % 2 == 0 ? pairs[p / 2] : _mm512_shuffle_i64x2(pairs[p / 2], pairs[p / 2], 0x4E);
  }
};

// What lies behind the posts of V blocks.
template <int V>
struct BlockNumbers {
  const int32_t* biases;
  const uint32_t* list;
  const uint8_t* weights;

  explicit BlockNumbers(const BlockHeader& block)
      : biases(block.biases()),
        list(static_cast<const uint32_t*>(static_cast<const void*>(biases + V * kLanes))),
        weights(static_cast<const uint8_t*>(static_cast<const void*>(list)) + block.list_bytes) {}
};

// The sums of P windows for V blocks of 16 outputs.
template <int P, int V, Products kProducts>
__attribute__((always_inline)) inline void add_up(const Tile& t, const uint8_t* window,
                                                  __m512i (&acc)[P][V]) {
  const BlockNumbers<V> numbers(*t.block);
  _Pragma("GCC unroll 16") for (int v = 0; v < V; ++v) {
    const __m512i bias = _mm512_load_si512(numbers.biases + static_cast<size_t>(v) * kLanes);
    _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p) acc[p][v] = bias;
  }
  const uint32_t* list = numbers.list;
  const uint8_t* w = numbers.weights;
  const Pieces& pieces = t.pieces;
  const uint8_t* row = window;
  if constexpr (kProducts == Products::kHalfBlock) {
    HalfBlock<P> half(numbers.biases + kLanes);
    for (size_t r = 0; r < pieces.rows; ++r, row += pieces.row_step)
      for (size_t tap = 0; tap < pieces.taps; ++tap) {
        Places<P> places(row + tap * pieces.tap_step, t.window_step);
        for (size_t quad = 0; quad < pieces.steps; ++quad, w += V * kVectorBytes) {
          half.add_quad(places, w, acc);
          places.move(4);
        }
      }
    half.part(acc);
  } else if constexpr (kProducts == Products::kSharedQuads) {
    const size_t quads = pieces.steps / 3, tap_step = quads * kVectorBytes;  // of one tap
    for (size_t r = 0; r < pieces.rows; ++r, row += pieces.row_step, w += 2 * tap_step) {
      Places<P + 2> columns(row, t.window_step);
      for (size_t quad = 0; quad < quads; ++quad, w += kVectorBytes) {
        add_shared_quad<P>(columns, w, tap_step, acc);
        columns.move(4);
      }
    }
  } else if (t.block->has_list != 0) {
    uint32_t quad = 0;
    for (size_t r = 0; r < pieces.rows; ++r, row += pieces.row_step)
      for (const Places<P> of_row(row, t.window_step); quad < list[r];
           ++quad, w += V * kVectorBytes) {
        Places<P> places = of_row;
        places.move(list[pieces.rows + quad]);
        add_quad<P, V>(places, w, acc);
      }
  } else {
    const auto add_piece = [&](const uint8_t* piece) __attribute__((always_inline)) {
      Places<P> places(piece, t.window_step);
      for (size_t quad = 0; quad < pieces.steps; ++quad, w += V * kVectorBytes) {
        add_quad<P, V>(places, w, acc);
        places.move(4);
      }
    };
    if (pieces.rows * pieces.taps == 1) {
      add_piece(row);
    } else {
      for (size_t r = 0; r < pieces.rows; ++r, row += pieces.row_step)
        for (size_t tap = 0; tap < pieces.taps; ++tap) add_piece(row + tap * pieces.tap_step);
    }
  }
}

// Tiles of P windows for V blocks, whose sums become codes at once; F is a packer's function.
template <int P, int V, typename F, Products kProducts>
void run_packed_tiles(const Tile& t) {
  const auto& packer = *static_cast<const PostLanes::Packer<V, F>*>(t.packer);
  const uint8_t* window = t.window;
  int8_t* codes = t.codes;
  for (size_t i = 0; i < t.count; ++i, window += P * t.window_step, codes += P * t.step) {
    __m512i acc[P][V];
    add_up<P, V, kProducts>(t, window, acc);
    // What follows takes more registers; without a new start here, GCC 12 moves sums to and fro
    // while they are added up.
    _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p)
        _Pragma("GCC unroll 16") for (int v = 0; v < V; ++v) asm volatile("" : "+v"(acc[p][v]));
    auto constants = packer.constants();
    packer.template store_all<true>(codes, t.step, acc, constants);
  }
}

// One tile.
template <int P, int V>
void run_tile(const Tile& t) {
  __m512i acc[P][V];
  add_up<P, V, Products::kPlain>(t, t.window, acc);
  _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p)
      _Pragma("GCC unroll 16") for (int v = 0; v < V; ++v)
          _mm512_store_si512(t.sums + (p * V + v) * static_cast<int>(kLanes), acc[p][v]);
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

// The function for tiles of as many windows, if that is among the numbers; else null.
template <int V, typename F, Products kProducts, int P, int... kMore>
inline TileFunction tile_among(size_t windows) {
  if (windows == P) return run_packed_tiles<P, V, F, kProducts>;
  if constexpr (sizeof...(kMore) > 0) return tile_among<V, F, kProducts, kMore...>(windows);
  return nullptr;
}
// That of tiles with packers, of the numbers of windows that rows of usual networks fall into; null
// for others.
template <int V, typename F>
inline TileFunction packing_tile(const PostLanes::Packer<V, F>&, size_t windows,
                                 Products products) {
  if constexpr (V == 1)
    return products == Products::kSharedQuads
               ? tile_among<V, F, Products::kSharedQuads, 8, 12, 14, 16>(windows)
               : tile_among<V, F, Products::kPlain, 8, 12, 14, 16>(windows);
  if constexpr (V == 2)
    return products == Products::kHalfBlock
               ? tile_among<V, F, Products::kHalfBlock, 7, 8, 9, 12, 13, 14>(windows)
               : tile_among<V, F, Products::kPlain, 7, 8, 9, 12, 13, 14>(windows);
  if constexpr (V == 4) return tile_among<V, F, Products::kPlain, 4, 5, 6, 7>(windows);
}

}  // namespace
}  // namespace intrt
