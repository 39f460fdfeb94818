// Tiles of windows so short that all weights stay in registers, and so do the constants of posts.
// The number of quads is a constant.
#pragma once

#include "intrt/kernels/avx512vnni/tile.h"

namespace intrt {
namespace {

template <int V>
constexpr int kHeldWindows = V == 1 ? 8 : 4;
// Tiles of so many windows of Rows rows of Quads quads each.
template <int V, int Rows, int Quads, typename F>
void run_with_held_weights(const Tile& t) {
  constexpr int P = kHeldWindows<V>;
  const auto& packer = *static_cast<const PostLanes::Packer<V, F>*>(t.packer);
  const BlockNumbers<V> numbers(*t.block);
  __m512i weights[Rows * Quads][V];
  _Pragma("GCC unroll 16") for (int quad = 0; quad < Rows * Quads; ++quad)
      _Pragma("GCC unroll 16") for (int v = 0; v < V; ++v) {
    weights[quad][v] =
        _mm512_load_si512(numbers.weights + static_cast<size_t>(quad * V + v) * kVectorBytes);
    in_register(weights[quad][v]);
  }
  auto constants = packer.constants();
  constants.load();
  const uint8_t* window = t.window;
  int8_t* codes = t.codes;
  const size_t row_step = t.pieces.row_step, window_step = t.window_step, step = t.step;
  for (size_t i = t.count; i > 0; --i, window += P * window_step, codes += P * step) {
    __m512i acc[P][V];
    _Pragma("GCC unroll 16") for (int v = 0; v < V; ++v) {
      const __m512i bias = _mm512_load_si512(numbers.biases + static_cast<size_t>(v) * kLanes);
      _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p) acc[p][v] = bias;
    }
    _Pragma("GCC unroll 3") for (int row = 0; row < Rows; ++row) {
      const Places<P> places(window + static_cast<size_t>(row) * row_step, window_step);
      _Pragma("GCC unroll 16") for (int quad = 0; quad < Quads; ++quad)
          _Pragma("GCC unroll 16") for (int p = 0; p < P; ++p) {
        const __m512i code = broadcast_quad(places.at(p) + 4 * quad);
        _Pragma("GCC unroll 16") for (int v = 0; v < V; ++v) acc[p][v] =
            _mm512_dpbusd_epi32(acc[p][v], code, weights[row * Quads + quad][v]);
      }
    }
    packer.template store_all<false>(codes, step, acc, constants);
  }
}

// The same for 8 outputs, windows of 3 rows of 9 to 11 codes, and 8 windows: two share a register.
// 16 codes of each row are read; windows that are not of whole quads lie in a band, and behind it
// there is room.
template <typename F>
void run_pairs_with_held_weights(const Tile& t) {
  constexpr int kRows = 3, kQuads = 3, kPairs = 4;
  const auto& packer = *static_cast<const PostLanes::Packer<1, F>*>(t.packer);
  const BlockNumbers<1> numbers(*t.block);
  const auto twice = [](const void* of_8) {
    __m512i repeated = _mm512_broadcast_i64x4(_mm256_load_si256(static_cast<const __m256i*>(of_8)));
    in_register(repeated);
    return repeated;
  };
  const __m512i bias = twice(numbers.biases);
  __m512i weights[kRows * kQuads];
  _Pragma("GCC unroll 9") for (int i = 0; i < kRows * kQuads; ++i) weights[i] =
      twice(numbers.weights + static_cast<size_t>(i) * kVectorBytes);
  auto constants = packer.constants();
  constants.repeat_8();
  constants.load();
  const auto load = [](const uint8_t* codes) {
    return _mm_loadu_si128(static_cast<const __m128i_u*>(static_cast<const void*>(codes)));
  };
  const uint8_t* window = t.window;
  int8_t* codes = t.codes;
  const size_t row_step = t.pieces.row_step, window_step = t.window_step;
  for (size_t i = t.count; i > 0; --i, window += 2 * kPairs * window_step, codes += 64) {
    __m512i acc[kPairs];
    _Pragma("GCC unroll 4") for (__m512i& sum : acc) sum = bias;
    _Pragma("GCC unroll 3") for (int row = 0; row < kRows; ++row) {
      const Places<2 * kPairs> places(window + static_cast<size_t>(row) * row_step, window_step);
      _Pragma("GCC unroll 4") for (int pair = 0; pair < kPairs; ++pair) {
        const __m512i both =
            _mm512_mask_broadcast_i32x4(_mm512_broadcast_i32x4(load(places.at(2 * pair))), 0xFF00,
                                        load(places.at(2 * pair + 1)));
        const auto add = [&](__m512i codes_of_quad, int quad) __attribute__((always_inline)) {
          acc[pair] = _mm512_dpbusd_epi32(acc[pair], codes_of_quad, weights[row * kQuads + quad]);
        };
        add(_mm512_shuffle_epi32(both, _MM_PERM_AAAA), 0);
        add(_mm512_shuffle_epi32(both, _MM_PERM_BBBB), 1);
        add(_mm512_shuffle_epi32(both, _MM_PERM_CCCC), 2);
      }
    }
    _mm512_storeu_si512(codes, constants.codes(acc[0], acc[1], acc[2], acc[3]));
  }
}

// A function for tiles of so many windows.
struct TileOf {
  TileFunction run;
  size_t windows;
};
// That for the windows of a tile, and null where there is none.
template <int V, typename F>
inline TileOf tile_of_short_windows(const PostLanes::Packer<V, F>& packer, const Tile& t) {
  const Pieces& pieces = t.pieces;
  if (t.block->has_list != 0 || pieces.taps != 1) return {nullptr, 0};
  if constexpr (V == 1)
    if (pieces.rows == 3 && pieces.steps == 3 && pieces.length < 12 && packer.has_8_outputs() &&
        t.step == 8)
      return {run_pairs_with_held_weights<F>, 8};
  if constexpr (V <= 2) {
    if (pieces.rows == 3 && pieces.steps == 3)
      return {run_with_held_weights<V, 3, 3, F>, kHeldWindows<V>};
    if (pieces.rows == 1 && pieces.steps == 2)
      return {run_with_held_weights<V, 1, 2, F>, kHeldWindows<V>};
    if (pieces.rows == 1 && pieces.steps == 4)
      return {run_with_held_weights<V, 1, 4, F>, kHeldWindows<V>};
    if (pieces.rows == 1 && pieces.steps == 6)
      return {run_with_held_weights<V, 1, 6, F>, kHeldWindows<V>};
    if (pieces.rows == 1 && pieces.steps == 8)
      return {run_with_held_weights<V, 1, 8, F>, kHeldWindows<V>};
  }
  return {nullptr, 0};
}

}  // namespace
}  // namespace intrt
