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

struct Range {  // inclusive
  std::int64_t lo = 0, hi = 0;
  bool operator==(const Range&) const = default;
};

enum class ElementType : std::uint8_t { kInt8 = 1, kInt16 = 2, kInt32 = 3 };  // INTRT_INT8, ...

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
  std::string node;  // graph node or input whose value this holds exactly
  Shape shape;
  int bits = 8;               // 2 to 16; 32 for an accumulator
  std::vector<int> decimals;  // 1, or one per channel
  std::vector<Range> ranges;  // proved, one per channel
  bool keep = false;  // must stay visible as a tensor of its own (input, output, --keep-layers)
  std::optional<std::int64_t> arena_offset;  // after plan-memory

  ElementType type() const;  // the narrowest that holds `bits`
  std::int64_t element_bytes() const;
  std::int64_t byte_count() const;
  int decimal(std::int64_t channel) const;
};

// Requantization and mask of an output; no `requantize` means the raw accumulator.
struct Requantize {
  std::vector<int> shifts;  // 1, or one per output channel; -31..30
  Rounding rounding = Rounding::kTowardZero;
  std::int32_t lo = 0, hi = 0;  // lo <= 0 <= hi

  int shift(std::int64_t channel) const;
};
struct Post {
  std::optional<Requantize> requantize;
  // Empty, or one 0/1 per element of the output: (C,H,W) order until assign-layout, then (H,W,C).
  std::vector<std::uint8_t> mask;
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

struct Conv2d {
  Window window;
  std::int64_t groups = 1;
  // Aligned to the accumulator's decimals. [O, I/groups, kh, kw], after assign-layout [O, kh, kw,
  // I/groups].
  xt::xarray<std::int32_t> weights;
  std::vector<std::int64_t> bias;         // empty, or one per output channel, in accumulator steps
  std::vector<Accumulator> accumulators;  // one per output channel
  Post post;
};
struct Linear {
  // [O, K]; K runs over the input in (C,H,W) order, after assign-layout in (H,W,C) order.
  xt::xarray<std::int32_t> weights;
  std::vector<std::int64_t> bias;
  std::vector<Accumulator> accumulators;
  Post post;
};
struct MaxPool2d {
  Window window;
};
struct RequantizeOp {  // quantize; also relu (shift 0, lo 0) and prune (mask)
  Post post;
};
struct Flatten {};    // logical only; resolve-flatten makes it a view or a Transpose
struct Transpose {};  // physical HWC to CHW

using OpKind = std::variant<Conv2d, Linear, MaxPool2d, RequantizeOp, Flatten, Transpose>;

struct Op {
  std::string node;   // the graph node that it computes; the first, when several are fused
  ValueId input = 0;  // single-input operators; others get `more_inputs`
  std::vector<ValueId> more_inputs;
  ValueId output = 0;
  OpKind kind;

  std::vector<ValueId> inputs() const;
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

std::string_view op_name(const OpKind& kind);  // as in op_list.def; "flatten" for Flatten

// The Post of an op; nullptr for operators that only move codes.
Post* post_of(OpKind& kind);
const Post* post_of(const OpKind& kind);

Range code_limits(int bits);                         // [-2^(bits-1), 2^(bits-1)-1]
int bits_to_hold(std::int64_t lo, std::int64_t hi);  // two's complement bits that hold both
std::vector<std::size_t> reader_counts(const Program& program);  // ops that read each value

// Position in logical (C,H,W) order of the element at `physical`, an index in (H,W,C) order.
std::int64_t logical_index(const Shape& shape, std::int64_t physical);

// One entry when all are equal, else as given. The canonical form of decimals and shifts.
std::vector<int> collapse(std::vector<int> per_channel);

// Proved bounds, derived from the ranges of the op's inputs.
std::vector<Accumulator> accumulator_bounds(const Program& program,
                                            const Op& op);  // conv2d, linear
std::vector<Range> output_ranges(const Program& program, const Op& op);
void derive_ranges(Program& program);  // of all accumulators and values, from those of the inputs

// Structure, shapes, ranges, widths and the memory plan are consistent; asserts otherwise (a broken
// pass is our mistake).
void validate(const Program& program);

// Readable, deterministic text, one line per op; for --print-after and for tests.
std::string to_text(const Program& program);

// All values of one sample, by ValueId; inputs in logical (C,H,W) order, as are the results. Values
// that no op makes any longer stay empty. Asserts that every value lies in its proved range.
std::vector<std::vector<std::int64_t>> evaluate(
    const Program& program, const std::vector<std::vector<std::int64_t>>& inputs);

}  // namespace lockstep::ir
