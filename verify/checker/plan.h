// The records of a plan, decoded into plain numbers. docs/plan-format.md says what they mean.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "verify/checker/model.h"

namespace lockstep::checker {

struct PlanTensor {
  std::string name;
  Int channels = 0, height = 0, width = 0;
  Int arena_offset = 0, bytes = 0;  // bytes: of all elements
  std::vector<int> decimals;        // one per channel
  std::vector<float> offsets;       // one per channel, or none
  std::vector<Int> channel_of;      // per channel: the channel of the graph's value
  bool has_map = false;             // channel_of was given
  int bits = 0;                     // codes have this many; of raw bytes 8
  bool is_raw = false;              // INTRT_UINT8: 0 .. 255
  bool is_input = false, is_output = false, is_named = false;
  int logical_rank = 3;
  Int count() const { return channels * height * width; }
  bool has_shape_of(const PlanTensor& other) const {
    return channels == other.channels && height == other.height && width == other.width;
  }
};

enum class PostKind : std::uint8_t { kNone, kShift, kScale };

struct ScaleStep {  // of one channel of a post-op of kind SCALE
  Int multiplier = 0, addend = 0;
  int shift = 0;
  Int lo = 0, hi = 0;
  std::vector<Int> thresholds, codes;  // with steps: rising, one code more; else empty
};

struct Post {
  PostKind kind = PostKind::kNone;
  Rounding rounding = Rounding::kTowardZero;
  Int lo = 0, hi = 0;              // SHIFT
  std::vector<int> shifts;         // SHIFT: one per output channel
  std::vector<ScaleStep> scales;   // SCALE: one per output channel
  std::vector<std::uint8_t> keep;  // one per output element in physical (HWC) order, or none
};

struct Span {  // intrt_pool_span
  Int begin = 0, end = 0, multiplier = 0;
};

struct Piece {  // intrt_move_piece, in elements in physical order
  std::size_t input = 0;
  Int in_first = 0, out_first = 0;
  std::array<Int, 4> count{}, in_step{}, out_step{};
};

enum class OpCode : std::uint32_t {
  kConv2d = 1,
  kLinear = 2,
  kMaxPool2d = 3,
  kRequantize = 4,
  kConvTranspose2d = 6,
  kAvgPool2d = 7,
  kAdd = 8,
  kMul = 9,
  kTable = 10,
  kMove = 11,
  kArgMax = 12
};

struct PlanOp {
  OpCode code = OpCode::kRequantize;
  std::string_view name;  // of the code
  std::string node;
  std::size_t output = 0;
  std::vector<std::size_t> inputs;  // tensors
  // conv2d, conv_transpose2d, max_pool2d; height first
  std::array<Int, 2> kernel{1, 1}, stride{1, 1}, dilation{1, 1}, pad_before{0, 0}, pad_after{0, 0};
  Int groups = 1;
  // What each weight stands for, whether it was stored densely, sparsely or with segments:
  // [O][kernel_h][kernel_w][I], linear [O][K].
  std::vector<Int> weights;
  int weight_bits = 0;              // of the stored type: 8, 16, 32
  bool is_wide = false;             // accumulators of 64 bits
  std::vector<Int> bias;            // one per output channel; zeros where the plan has none
  std::vector<Span> rows, columns;  // avg_pool2d
  std::array<std::vector<Int>, 2> multipliers;  // add: per output channel
  std::vector<std::size_t> table_of;            // table: per channel
  std::vector<std::vector<Int>> tables;         // 2^bits entries each, of the lowest code first
  std::vector<Piece> pieces;                    // move
  Post post;                                    // of a table its mask alone
};

struct Plan {
  std::string name;
  Int arena_bytes = 0;
  std::vector<PlanTensor> tensors;
  std::vector<PlanOp> ops;  // in execution order
  std::vector<std::size_t> inputs, outputs;
};

// BadFile for anything but a whole plan of this version: a wrong checksum, an offset or a count
// that leaves the bytes, tensors that do not fit an operator, an unknown operator, a field whose
// value means nothing. Every index in the result is valid, and every list has its length. What
// changes no meaning is left to the runtime, which refuses it: bytes that must be 0, codes beyond a
// tensor's bits that cannot occur.
Plan read_plan(std::span<const std::byte> bytes);

}  // namespace lockstep::checker
