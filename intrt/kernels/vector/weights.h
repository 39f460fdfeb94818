// Prepared weights of convolutions and linear layers. Include the variant's kLanes, kDepth, Weight
// and PostLanes before; it defines blocks_at_once.
#pragma once

#include "intrt/kernels/vector/geometry.h"

namespace intrt {
namespace {

constexpr size_t kVectorCodes = kLanes * kDepth;
constexpr size_t kBlockAlignment = 64;

// Where a window's codes lie, in pieces of codes side by side: for each row of taps one, or, with a
// dilation or groups, one for each tap. A piece is taken in whole steps of kDepth codes; weights
// behind its end are 0.
struct Pieces {
  size_t rows, row_step, taps, tap_step, length, steps;

  Pieces(const Sizes& s, size_t row_codes) : rows(s.kernel_h), row_step(s.dilation_h * row_codes) {
    const bool side_by_side = s.groups == 1 && s.dilation_w == 1;
    taps = side_by_side ? 1 : s.kernel_w;
    tap_step = s.dilation_w * s.channels;
    length = side_by_side ? s.kernel_w * s.channels : s.group_inputs;
    steps = (length + kDepth - 1) / kDepth;
  }

  size_t all_steps() const { return rows * taps * steps; }
};

// Blocks of kLanes outputs that tiles multiply at the same time: 1, 2, 4 or 8.
inline size_t blocks_at_once(const Sizes& s, size_t outputs_left);

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

// Prepared weights, for each group of channels, for each set of blocks of its outputs: this
// header; what becomes of the sums of each block; kLanes biases for each; room for a list; for each
// step of the window kVectorCodes weights for each block. Steps whose weights are 0 for all of
// these outputs may be left out. The list then says, for each row of taps, the number of the step
// behind its last; and, for each step, where its codes lie from the begin of their row.
struct alignas(kBlockAlignment) BlockHeader {
  uint32_t bytes;  // of header and all
  uint32_t list_bytes;
  uint32_t has_list;

  const PostLanes* posts() const {
    return static_cast<const PostLanes*>(static_cast<const void*>(this + 1));
  }
};
static_assert(kBlockAlignment % alignof(PostLanes) == 0, "posts are aligned");
// Of so many steps, `nonzero` of which are not 0; a list is worth it as soon as one in eight is 0.
inline size_t steps_taken(size_t all, size_t nonzero) {
  return (all - nonzero) * 8 < all ? all : nonzero;
}

inline size_t aligned(size_t bytes) {
  return (bytes + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment;
}
inline size_t list_bytes(const Pieces& pieces) {
  return aligned(4 * (pieces.rows + pieces.all_steps()));
}
inline size_t bytes_of_blocks(const Pieces& pieces, size_t v) {
  return sizeof(BlockHeader) + list_bytes(pieces) +
         aligned(v * (sizeof(PostLanes) + 4 * kLanes +
                      sizeof(Weight) * kVectorCodes * pieces.all_steps()));
}

inline size_t all_blocks_bytes(const Sizes& s) {
  const Pieces pieces(s, 0);
  size_t bytes = 0;
  for (size_t left = s.group_outputs; left > 0;) {
    const size_t v = blocks_at_once(s, left);
    bytes += bytes_of_blocks(pieces, v);
    left = left > v * kLanes ? left - v * kLanes : 0;
  }
  return s.groups * bytes;
}

// Takes out steps that are 0 and lists the others, where that pays.
inline void leave_out_zeros(const Pieces& pieces, size_t v, BlockHeader& header, uint32_t* list,
                            Weight* weights) {
  const size_t of_step = v * kVectorCodes, all_steps = pieces.all_steps();
  size_t nonzero = 0;
  for (size_t i = 0; i < all_steps; ++i)
    nonzero += all_zero(weights + i * of_step, of_step) ? 0 : 1;
  if (steps_taken(all_steps, nonzero) == all_steps) return;
  const Weight* from = weights;
  uint32_t kept = 0;
  for (size_t row = 0; row < pieces.rows; ++row) {
    for (size_t tap = 0; tap < pieces.taps; ++tap)
      for (size_t step = 0; step < pieces.steps; ++step, from += of_step) {
        if (all_zero(from, of_step)) continue;
        for (size_t i = 0; i < of_step; ++i) weights[kept * of_step + i] = from[i];
        list[pieces.rows + kept++] = static_cast<uint32_t>(tap * pieces.tap_step + kDepth * step);
      }
    list[row] = kept;
  }
  header.has_list = 1;
}

// A bias, less what the offset of codes adds to the sum.
inline int32_t start_of(int32_t bias, uint32_t weight_sum, uint32_t code_offset) {
  return static_cast<int32_t>(static_cast<uint32_t>(bias) - code_offset * weight_sum);
}

// code_offset: what kernels add to codes. bias may be null; `to` is aligned to kBlockAlignment.
inline void prepare_blocks(const OpToPrepare& op, const intrt_post_record& post, const Sizes& s,
                           const StoredWeights& stored, const int32_t* bias, uint32_t code_offset,
                           void* to) {
  const Pieces pieces(s, 0);
  uint8_t* out = static_cast<uint8_t*>(to);
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
      Weight* weights = static_cast<Weight*>(
          static_cast<void*>(static_cast<uint8_t*>(static_cast<void*>(list)) + header.list_bytes));
      for (size_t lane = 0; lane < v * kLanes; ++lane) {
        const bool is_there = first + lane < s.group_outputs;
        const size_t o = g * s.group_outputs + (is_there ? first + lane : 0);
        StoredWeights::Row row(stored, o);
        uint32_t sum = 0;
        Weight* step = weights + kDepth * lane;
        for (size_t piece = 0; piece < pieces.rows * pieces.taps; ++piece)
          for (size_t i = 0; i < kDepth * pieces.steps; i += kDepth, step += v * kVectorCodes)
            for (size_t k = 0; k < kDepth; ++k) {
              const int32_t weight = is_there && i + k < pieces.length ? row.next() : 0;
              step[k] = static_cast<Weight>(weight);
              sum += static_cast<uint32_t>(weight);
            }
        biases[lane] = start_of(is_there && bias != nullptr ? bias[o] : 0, sum, code_offset);
      }
      leave_out_zeros(pieces, v, header, list, weights);
      out += header.bytes;
      first += v * kLanes;
    }
}

}  // namespace
}  // namespace intrt
