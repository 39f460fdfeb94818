// The integer IR: a network after lowering. Every value is a tensor of integer codes with a proved
// range.
//
// Order of a program's life: lower() makes one op per graph node, with accumulators as 32-bit
// values of their own; the passes (compile/passes/pipeline.cpp) fuse, assign layouts and plan
// memory; the backends only print. validate() holds after every pass.
//
// Meaning: see intrt/plan_format.h; an Op here means what its record there means. evaluate() is the
// executable statement of it, on 64-bit integers, for tests and for the known answer in generated
// C.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>
#include <xtensor/xarray.hpp>

#include "compile/graph/graph.h"

namespace lockstep::ir {

using ValueId = std::size_t;

// The widest codes that operators multiply; the widest integers that memory holds. A float32 holds
// every integer of kExactFloatBits bits.
inline constexpr int kMostCodeBits = 16, kMostStoredBits = 32, kExactFloatBits = 25;

struct Range {  // inclusive
  std::int64_t lo = 0, hi = 0;
  bool operator==(const Range&) const = default;
};

// INTRT_INT8, ...; kUInt8: raw bytes, an input of the network that only tables read; kInt64: no
// plan stores it, a post-op must make less of it.
enum class ElementType : std::uint8_t { kInt8 = 1, kInt16 = 2, kInt32 = 3, kUInt8 = 4, kInt64 = 5 };

// Logical shape (C,H,W). Vectors have h = w = 1 unless they are a flattened feature map whose
// physical order is still HWC; logical_rank says how PyTorch sees it: 1 [C*H*W], 2 [C,W], 3
// [C,H,W].
struct Shape {
  std::int64_t c = 1, h = 1, w = 1;
  int logical_rank = 3;
  std::int64_t count() const { return c * h * w; }
  bool operator==(const Shape&) const = default;
};

struct Value {
  std::string node;  // graph node or input that this belongs to
  Shape shape;
  int bits = 8;               // 2 to 16: codes; 17 to 32: accumulators; to 63: before fusing only
  std::vector<int> decimals;  // 1, or one per channel
  std::vector<Range> ranges;  // proved, one per channel
  bool keep = false;   // must stay visible as a tensor of its own (input, output, --keep-layers)
  bool bytes = false;  // raw bytes 0..255 of an input; only a Table reads them. Not `exact`
  // True: holds exactly the value of `node`. False: what float functions of `node` (its float bias,
  // a batch norm, ...) will still be applied to, on the way to a later node.
  bool exact = true;
  // Empty, or one per channel: the value of `node` is fl(code * 2^-decimal) + offset, and the
  // reader of the output makes that float32 addition. The float bias of an output that nothing
  // quantizes.
  std::vector<float> offsets;
  // Empty: all channels of `node`, in order. Else which of them each channel is: what is missing is
  // dead or constant, and neither computed nor stored.
  std::vector<std::int64_t> channels = {};
  std::optional<std::int64_t> arena_offset;  // after plan-memory

  ElementType type() const;  // the narrowest that holds `bits`
  std::int64_t element_bytes() const;
  std::int64_t byte_count() const;
  int decimal(std::int64_t channel) const;
};

// What an op does to its accumulators (or codes) on their way out. None (monostate): nothing, they
// are the output. See intrt_post_record.
struct Requantize {         // INTRT_POST_SHIFT: shift, then clamp; zero stays zero
  std::vector<int> shifts;  // 1, or one per output channel; -31..30, of wide accumulators 0..62
  Rounding rounding = Rounding::kTowardZero;
  std::int32_t lo = 0, hi = 0;  // lo <= 0 <= hi

  int shift(std::int64_t channel) const;
  bool operator==(const Requantize&) const = default;
};
struct ChannelScale {  // of one channel
  // Without steps: intrt_scale(acc, multiplier, addend, shift, rounding, lo, hi).
  std::int32_t multiplier = 0;
  std::int64_t addend = 0;
  int shift = 0;
  std::int32_t lo = 0, hi = 0;
  // With steps: codes[number of thresholds <= acc]; one code more than there are thresholds.
  std::vector<std::int32_t> thresholds;
  std::vector<std::int16_t> codes;

  bool has_steps() const { return !thresholds.empty(); }
  bool operator==(const ChannelScale&) const = default;
};
struct Scale {                                // INTRT_POST_SCALE; zero need not stay zero
  Rounding rounding = Rounding::kTowardZero;  // kTowardZero or kFloor
  std::vector<ChannelScale> channels;         // one per output channel
  bool operator==(const Scale&) const = default;
};
using PostFunction = std::variant<std::monostate, Requantize, Scale>;

struct Post {
  PostFunction function;
  // Empty, or one 0/1 per element of the output: (C,H,W) order until assign-layout, then (H,W,C).
  // Applied last.
  std::vector<std::uint8_t> mask;

  bool is_none() const { return std::holds_alternative<std::monostate>(function); }
  const Requantize* requantize() const { return std::get_if<Requantize>(&function); }
  Requantize* requantize() { return std::get_if<Requantize>(&function); }
  const Scale* scale() const { return std::get_if<Scale>(&function); }
  Scale* scale() { return std::get_if<Scale>(&function); }
};

struct Window {  // of a convolution or pooling
  std::array<std::int64_t, 2> kernel{1, 1}, stride{1, 1}, dilation{1, 1};
  std::array<std::int64_t, 4> pad{0, 0, 0, 0};  // top, left, bottom, right

  // Number of window positions along axis 0 (height) or 1 (width) of an input of `size`; 0 or less
  // when the window does not fit.
  std::int64_t output_size(int axis, std::int64_t size) const;
  bool has_padding() const;
};

// The sum of a linear operator for one output channel, before its Post.
struct Accumulator {
  Range range;  // of the final sum, from the proved ranges of the input
  // Bounds every partial sum in every order for every code of the input's width, as the runtime
  // requires: sum of |weight| * 2^(input bits - 1), plus |bias|.
  std::int64_t magnitude = 0;
  bool operator==(const Accumulator&) const = default;
};

// Input channels begin .. end - 1 of each group, where begin is the end of the segment before, have
// decimals of their own. Before a segment's products are added, the sum so far is multiplied by
// 2^shift; so a weight stands for itself times 2 to the sum of the shifts of all later segments.
struct Segment {
  std::int64_t end = 0;  // rising; that of the last segment: the input channels of a group
  int shift = 0;         // 0..30; of the first segment 0
  bool operator==(const Segment&) const = default;
};

struct Conv2d {
  Window window;
  bool wide = false;    // accumulators of 64 bits, weights of up to 32; else 32 and 16
  bool sparse = false;  // backends store only the weights that are not 0; excludes segments
  std::vector<Segment> segments = {};  // empty: each weight stands for itself; not with wide
  std::int64_t groups = 1;
  // Aligned to the accumulator's decimals. [O, I/groups, kh, kw], after assign-layout [O, kh, kw,
  // I/groups].
  xt::xarray<std::int32_t> weights;
  std::vector<std::int64_t> bias;         // empty, or one per output channel, in accumulator steps
  std::vector<Accumulator> accumulators;  // one per output channel
  Post post;
};
struct Linear {
  bool wide = false;
  bool sparse = false;                 // as of Conv2d
  std::vector<Segment> segments = {};  // of input channels, at every place of the input
  // [O, K]; K runs over the input in (C,H,W) order, after assign-layout in (H,W,C) order.
  xt::xarray<std::int32_t> weights;
  std::vector<std::int64_t> bias;
  std::vector<Accumulator> accumulators;
  Post post;
};
// The transpose of a convolution. Weights as for Conv2d; see intrt_conv_transpose2d_params for the
// sum. The output may have any size.
struct ConvTranspose2d {
  std::array<std::int64_t, 2> kernel{1, 1}, stride{1, 1}, dilation{1, 1};
  std::array<std::int64_t, 2> pad{0, 0};  // top, left
  bool wide = false;
  std::int64_t groups = 1;
  xt::xarray<std::int32_t> weights;
  std::vector<std::int64_t> bias;
  std::vector<Accumulator> accumulators;
  Post post;
};
struct MaxPool2d {
  Window window;
};
// The rows or columns begin .. end - 1 of one output row or column, and what their sum is
// multiplied by.
struct PoolSpan {
  std::int64_t begin = 0, end = 1, multiplier = 1;
  bool operator==(const PoolSpan&) const = default;
};
// A sum over windows, not yet divided; see intrt_avg_pool2d_params.
struct AvgPool2d {
  std::vector<PoolSpan> rows, columns;  // of every output row and column
  std::vector<Accumulator> accumulators;
  Post post;
};
// multipliers[0][c] * a + multipliers[1][c] * b. Each dimension of an input is the output's, or 1.
struct Add {
  std::array<std::vector<std::int32_t>, 2> multipliers;  // one per output channel
  std::vector<Accumulator> accumulators;
  Post post;
};
struct Mul {  // a * b; shapes as for Add
  std::vector<Accumulator> accumulators;
  Post post;
};
struct RequantizeOp {  // quantize; also relu (shift 0, lo 0) and prune (mask)
  Post post;
};
// Any function of codes of at most 16 bits. A table has 2^bits entries; that of code q is entry
// q + 2^(bits-1), that of a raw byte its value.
struct Table {
  std::vector<std::vector<std::int16_t>> tables;
  std::vector<std::uint16_t> table_of;  // per channel
  std::vector<std::uint8_t> mask;       // as in Post
};
// Copies; 0 where nothing is copied to. Pieces count elements in physical (H,W,C) order at all
// times, in values as lowering made them: no other view of a value may take its place.
struct MovePiece {  // intrt_move_piece
  std::size_t input = 0;
  std::int64_t in_first = 0, out_first = 0;
  std::array<std::int64_t, 4> count{1, 1, 1, 1}, in_step{0, 0, 0, 0}, out_step{0, 0, 0, 0};
};
struct Move {
  std::vector<MovePiece> pieces;
};
struct ArgMax {};   // over channels
struct Flatten {};  // logical only; resolve-flatten makes it a view or a Move

using OpKind = std::variant<Conv2d, ConvTranspose2d, Linear, MaxPool2d, AvgPool2d, Add, Mul,
                            RequantizeOp, Table, Move, ArgMax, Flatten>;

struct Op {
  std::string node;  // the graph node that it computes; the first, when several are fused
  std::vector<ValueId> inputs;  // Add, Mul: 2; Move: 1 or more; all others 1
  ValueId output = 0;
  OpKind kind;

  ValueId input() const { return inputs.front(); }
};

enum class Layout : std::uint8_t { kLogical, kPhysical };

struct Program {
  std::string name;
  std::vector<Value> values;
  std::vector<Op> ops;  // in execution order
  std::vector<ValueId> inputs, outputs;
  Layout layout = Layout::kLogical;  // of weights and masks; kPhysical after assign-layout
  std::int64_t arena_bytes = 0;      // after plan-memory
};

// Leaves codes of at most `bits` bits, at most 32, as they are: shift 0, the limits of the bits.
Requantize identity_requantize(int bits);

std::string_view op_name(const OpKind& kind);  // as in op_list.def; "flatten" for Flatten

// The Post of an op; nullptr for operators that have none.
Post* post_of(OpKind& kind);
const Post* post_of(const OpKind& kind);

// The accumulators of an op, one per output channel; nullptr for operators without.
std::vector<Accumulator>* accumulators_of(OpKind& kind);
const std::vector<Accumulator>* accumulators_of(const OpKind& kind);

// Calls f(input, from, to) for every element that `move` copies: the index of the input, and the
// physical places of the element in it and in the output.
template <typename F>
void for_each_copy(const Move& move, F&& f) {
  for (const MovePiece& p : move.pieces)
    for (std::int64_t a = 0; a < p.count[0]; ++a)
      for (std::int64_t b = 0; b < p.count[1]; ++b)
        for (std::int64_t c = 0; c < p.count[2]; ++c)
          for (std::int64_t d = 0; d < p.count[3]; ++d)
            f(p.input,
              p.in_first + a * p.in_step[0] + b * p.in_step[1] + c * p.in_step[2] +
                  d * p.in_step[3],
              p.out_first + a * p.out_step[0] + b * p.out_step[1] + c * p.out_step[2] +
                  d * p.out_step[3]);
}

// For each of `channels` input channels of a group, 2 to which power its weights stand for: 0
// without segments.
std::vector<int> weight_shifts(const std::vector<Segment>& segments, std::int64_t channels);

// What `function` makes of an accumulator of channel c.
// |acc| <= 2^62; a Scale needs 32 bits, and so does an acc that nothing is done to.
std::int32_t apply(const PostFunction& function, std::int64_t channel, std::int64_t acc);

Range code_limits(int bits);                         // [-2^(bits-1), 2^(bits-1)-1]
Range code_limits(const Value& value);               // of its bits; [0, 255] for bytes
int bits_to_hold(std::int64_t lo, std::int64_t hi);  // two's complement bits that hold both
std::vector<std::size_t> reader_counts(const Program& program);  // ops that read each value

// Position in logical (C,H,W) order of the element at `physical`, an index in (H,W,C) order.
std::int64_t logical_index(const Shape& shape, std::int64_t physical);
// Whether an operator reads elements by their place: then a value that it reads must lie in memory
// as lowering made it. A linear layer's weights and elementwise operators adapt instead.
bool reads_by_place(const OpKind& kind);
// Whether the output may lie exactly on an input with elements of the same number and size.
bool works_in_place(const OpKind& kind);

// One entry when all are equal, else as given. The canonical form of decimals and shifts.
std::vector<int> collapse(std::vector<int> per_channel);

// Proved bounds, derived from the ranges of the op's inputs.
std::vector<Accumulator> accumulator_bounds(const Program& program,
                                            const Op& op);  // of an op with accumulators
std::vector<Range> output_ranges(const Program& program, const Op& op);
void derive_ranges(Program& program);  // of all accumulators and values, from those of the inputs

// Structure, shapes, ranges, widths and the memory plan are consistent; asserts otherwise (a broken
// pass is our mistake).
void validate(const Program& program);

// Readable, deterministic text, one line per op; for --print-after and for tests.
std::string to_text(const Program& program);

// The operators and values as a picture in Graphviz's dot language.
std::string to_dot(const Program& program);

// All values of one sample, by ValueId; inputs in logical (C,H,W) order, as are the results. Values
// that no op makes any longer stay empty. Asserts that every value lies in its proved range.
std::vector<std::vector<std::int64_t>> evaluate(
    const Program& program, const std::vector<std::vector<std::int64_t>>& inputs);

}  // namespace lockstep::ir
