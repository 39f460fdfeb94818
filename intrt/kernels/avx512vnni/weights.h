// Prepared memory of convolutions and linear layers.
#pragma once

#include "intrt/kernels/avx512vnni/bands.h"
#include "intrt/kernels/avx512vnni/post.h"
#include "intrt/kernels/vector/weights.h"

namespace intrt {
namespace {

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

// Packers read posts.
inline size_t register_codes_bytes(const Sizes&, size_t) { return 0; }
inline void put_register_codes(const PostLanes*, size_t, void*) {}

// Prepared memory begins with this; then come the blocks.
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

inline size_t dense_bytes(const OpToPrepare&, const intrt_post_record& post, const Sizes& s,
                          const StoredWeights& stored) {
  return sizeof(DenseHeader) + BlocksBytes(s, post, stored, 0).all();  // an offset costs nothing
}
// bias may be null; `to` is aligned to 64.
inline void prepare_dense(const OpToPrepare& op, const intrt_post_record& post, const Sizes& s,
                          const StoredWeights& stored, const int32_t* bias, void* to) {
  DenseHeader& header = *static_cast<DenseHeader*>(to);
  header.bias = Bias(op.input_never_negative);
  header.in_place = op.input_never_negative && fits_in_place(s);
  prepare_blocks(op, post, s, Pieces(s, 0), stored, bias, header.bias.value(), &header + 1);
}

}  // namespace
}  // namespace intrt
