// The records of an opened plan, decoded into plain values. Opening has checked every offset.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "compile/graph/graph.h"
#include "intrt/plan_format.h"
#include "verify/differential/plan_runner.h"

namespace lockstep::verify {

// What intrt_scale or intrt_step makes of an accumulator of one channel.
struct PlanScale {
  std::int64_t multiplier = 0, addend = 0;
  int shift = 0;
  std::int64_t lo = 0, hi = 0;
  std::vector<std::int64_t> thresholds;  // with steps: rising, and one code more than thresholds
  std::vector<std::int64_t> codes;       // empty: no steps

  bool operator==(const PlanScale&) const = default;
};

struct PlanPost {
  std::uint32_t kind = INTRT_POST_NONE;
  Rounding rounding = Rounding::kTowardZero;
  std::int64_t lo = 0, hi = 0;
  std::vector<int> shifts;        // SHIFT: 1, or one per output channel
  std::vector<PlanScale> scales;  // SCALE: one per output channel
  std::vector<std::uint8_t>
      keep;  // one 0/1 per output element in physical (HWC) order; empty: no mask

  // Of an output channel. Requires a shift.
  int shift(std::int64_t channel) const {
    return shifts.size() == 1 ? shifts[0] : shifts.at(static_cast<std::size_t>(channel));
  }
};

struct PlanWindow {
  std::int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1,
               dilation_w = 1;
  std::int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
};

struct PlanSpan {  // intrt_pool_span
  std::int64_t begin = 0, end = 0, multiplier = 0;
};

struct PlanTable {
  std::vector<std::size_t> table_of;               // one per channel
  std::vector<std::vector<std::int64_t>> entries;  // per table, 2^(input bits) each
};

struct PlanPiece {  // intrt_move_piece
  std::size_t input = 0;
  std::int64_t in_first = 0, out_first = 0;
  std::array<std::int64_t, 4> count{}, in_step{}, out_step{};
};

// Calls visit(from, to) for every element that a piece copies, by its place in physical order.
template <typename Visit>
void each_copy(const PlanPiece& piece, const Visit& visit) {
  for (std::int64_t a = 0; a < piece.count[0]; ++a)
    for (std::int64_t b = 0; b < piece.count[1]; ++b)
      for (std::int64_t c = 0; c < piece.count[2]; ++c)
        for (std::int64_t d = 0; d < piece.count[3]; ++d)
          visit(piece.in_first + a * piece.in_step[0] + b * piece.in_step[1] +
                    c * piece.in_step[2] + d * piece.in_step[3],
                piece.out_first + a * piece.out_step[0] + b * piece.out_step[1] +
                    c * piece.out_step[2] + d * piece.out_step[3]);
}

struct PlanOp {
  enum Code : std::uint32_t {
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

  std::uint32_t code = 0;
  std::string node;  // empty: the record names none
  std::uint32_t output = 0;
  std::vector<std::uint32_t> inputs;
  PlanWindow window;                    // conv2d, conv_transpose2d, max_pool2d
  std::int64_t groups = 1;              // conv2d, conv_transpose2d
  std::vector<std::int64_t> weights;    // [O][kh][kw][I], linear [O][K]
  int weight_bits = 0;                  // of the type that holds a weight: 8, 16 or 32
  std::vector<std::int64_t> bias;       // 32 bits each; empty: none
  std::vector<PlanSpan> rows, columns;  // avg_pool2d
  std::array<std::vector<std::int64_t>, 2> multipliers;  // add: per output channel
  PlanTable table;                                       // table
  std::vector<PlanPiece> pieces;                         // move
  PlanPost post;  // of all but max_pool2d, move and argmax; of a table the mask alone

  // No partial sum may be larger: weights of 32 bits go with accumulators of 64.
  std::int64_t largest_sum() const {
    return weight_bits == 32 ? std::int64_t{1} << 62 : std::int64_t{INT32_MAX};
  }
  bool is_weighted() const {
    return code == kConv2d || code == kConvTranspose2d || code == kLinear;
  }
};

// Throws NotUnderstood for an operator code that this checker does not know.
PlanOp read_op(const OpenPlan& plan, std::uint32_t index);

}  // namespace lockstep::verify
