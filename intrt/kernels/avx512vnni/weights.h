// Prepared memory of convolutions and linear layers: for 16 outputs at a time, four weights of
// each.
#pragma once

#include "intrt/kernels/avx512vnni/bands.h"
#include "intrt/kernels/avx512vnni/post.h"

namespace intrt {
namespace {

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

// Blocks of 16 outputs that tiles multiply at the same time, and the most windows of such a tile:
// all accumulators, the weights and a code are to fit 32 registers. With few windows beside each
// other, more blocks keep the multipliers busy.
constexpr size_t most_windows(size_t blocks) {
  return blocks == 1 ? 16 : blocks == 2 ? 14 : blocks == 4 ? 7 : 1;
}
inline size_t blocks_at_once(const Sizes& s, size_t outputs_left) {
  const size_t blocks = (outputs_left + kLanes - 1) / kLanes;
  if (blocks >= 8 && s.output_width <= most_windows(8)) return 8;
  if (blocks >= 4 && s.output_width <= most_windows(4)) return 4;
  return blocks >= 2 ? 2 : 1;
}

// Prepared memory begins with this.
struct alignas(kVectorBytes) DenseHeader {
  Bias bias;
  bool in_place;  // windows are read where the input lies
};

// No window needs padding or bytes behind its pieces.
inline bool fits_in_place(const Sizes& s) {
  const Pieces pieces(s, 0);
  return pieces.length % 4 == 0 && s.top == 0 && s.left == 0 &&
         s.rows_under(s.output_height) <= s.height && s.columns_under(s.output_width) <= s.width;
}

// Then, for each group of channels, for each 1, 2, 4 or 8 blocks of its outputs: this header; what
// becomes of the sums of each block; 16 biases for each; room for a list; for each quad of the
// window 16 times 4 weights for each block. Quads that are 0 for all of these outputs may be left
// out. The list then says, for each row of taps, the number of the quad behind its last; and, for
// each quad, where its codes lie from the begin of their row.
struct alignas(kVectorBytes) BlockHeader {
  uint32_t bytes;  // of header and all
  uint32_t list_bytes;
  uint32_t has_list;

  const PostLanes* posts() const {
    return static_cast<const PostLanes*>(static_cast<const void*>(this + 1));
  }
};
static_assert(alignof(PostLanes) == kVectorBytes, "what lies behind is aligned");
constexpr size_t kListFrom = 8;  // a list is worth it as soon as one in so many quads is 0

inline size_t aligned(size_t bytes) {
  return (bytes + kVectorBytes - 1) / kVectorBytes * kVectorBytes;
}
inline size_t list_bytes(const Pieces& pieces) {
  return aligned(4 * (pieces.rows + pieces.all_quads()));
}
inline size_t bytes_of_blocks(const Pieces& pieces, size_t v) {
  return sizeof(BlockHeader) + list_bytes(pieces) +
         v * (sizeof(PostLanes) + kVectorBytes * (1 + pieces.all_quads()));
}

inline size_t dense_bytes(const Sizes& s) {
  const Pieces pieces(s, 0);
  size_t bytes = 0;
  for (size_t left = s.group_outputs; left > 0;) {
    const size_t v = blocks_at_once(s, left);
    bytes += bytes_of_blocks(pieces, v);
    left = left > v * kLanes ? left - v * kLanes : 0;
  }
  return sizeof(DenseHeader) + s.groups * bytes;
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
  header.has_list = 1;
}

// bias may be null; `to` is aligned to 64.
inline void prepare_dense(const OpToPrepare& op, const intrt_post_record& post, const Sizes& s,
                          const StoredWeights& stored, const int32_t* bias, void* to) {
  const Pieces pieces(s, 0);
  const Bias added(op.input_never_negative);
  DenseHeader& all = *static_cast<DenseHeader*>(to);
  all.bias = added;
  all.in_place = op.input_never_negative && fits_in_place(s);
  uint8_t* out = static_cast<uint8_t*>(to) + sizeof(DenseHeader);
  for (size_t g = 0; g < s.groups; ++g)
    for (size_t first = 0; first < s.group_outputs;) {
      const size_t v = blocks_at_once(s, s.group_outputs - first);
      BlockHeader& header = *static_cast<BlockHeader*>(static_cast<void*>(out));
      header.bytes = static_cast<uint32_t>(bytes_of_blocks(pieces, v));
      header.list_bytes = static_cast<uint32_t>(list_bytes(pieces));
      header.has_list = 0;
      PostLanes* posts = static_cast<PostLanes*>(static_cast<void*>(&header + 1));
      for (size_t i = 0; i < v; ++i) {
        const size_t block = first + i * kLanes;
        new (posts + i) PostLanes(op, post, static_cast<uint32_t>(g * s.group_outputs + block),
                                  lanes_from(block, s.group_outputs));
      }
      int32_t* biases = static_cast<int32_t*>(static_cast<void*>(posts + v));
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
        biases[lane] = static_cast<int32_t>(start - added.value() * sum);
      }
      leave_out_zeros(pieces, v, header, list, quads);
      out += header.bytes;
      first += v * kLanes;
    }
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

}  // namespace
}  // namespace intrt
