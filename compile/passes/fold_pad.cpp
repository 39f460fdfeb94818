// A pad node that fills with zeros before convolutions is their padding: nothing is copied. It may
// differ from side to side.
#include <algorithm>
#include <array>
#include <optional>

#include "compile/passes/pass.h"
#include "compile/passes/rewrite.h"
#include "intrt/plan_format.h"

namespace lockstep::passes {
namespace {

using namespace ir;

// How many rows and columns of zeros `move` puts around its input: top, left, bottom, right.
// Nothing where it does anything else.
std::optional<std::array<std::int64_t, 4>> padding_of(const Program& program, const Op& op,
                                                      const Move& move) {
  if (op.inputs.size() != 1) return std::nullopt;
  const Value &input = program.values[op.input()], &output = program.values[op.output];
  const Shape &in = input.shape, &out = output.shape;
  if (in.c != out.c || in.logical_rank != out.logical_rank || in.logical_rank == 1 ||
      input.bits != output.bits || input.decimals != output.decimals)
    return std::nullopt;
  std::optional<std::int64_t> first;  // place of the input's first element
  std::int64_t copies = 0;
  bool regular = true;
  for_each_copy(move, [&](std::size_t, std::int64_t from, std::int64_t to) {
    const std::int64_t c = from % in.c, x = from / in.c % in.w, y = from / in.c / in.w;
    const std::int64_t expected = to - (y * out.w + x) * out.c - c;
    regular &= expected >= 0 && first.value_or(expected) == expected;
    first = expected;
    ++copies;
  });
  if (!regular || !first || copies != in.count() || *first % out.c != 0) return std::nullopt;
  const std::int64_t top = *first / out.c / out.w, left = *first / out.c % out.w;
  if (left + in.w > out.w || top + in.h > out.h) return std::nullopt;
  return std::array{top, left, out.h - in.h - top, out.w - in.w - left};
}

// Plans hold so much padding.
bool fits(const Program& program, ValueId padded, const std::array<std::int64_t, 4>& sides) {
  return std::all_of(program.ops.begin(), program.ops.end(), [&](const Op& op) {
    const auto* conv = std::get_if<Conv2d>(&op.kind);
    if (conv == nullptr || op.input() != padded) return true;
    for (std::size_t side = 0; side < sides.size(); ++side)
      if (conv->window.pad[side] + sides[side] > std::int64_t{INTRT_MAX_DIM}) return false;
    return true;
  });
}

}  // namespace

Program fold_pad(Program program) {
  for (std::size_t i = program.ops.size(); i-- > 0;) {  // of pads in a row, the last first
    const Op& pad = program.ops[i];
    const auto* move = std::get_if<Move>(&pad.kind);
    if (move == nullptr || program.values[pad.output].keep) continue;
    const ValueId padded = pad.output, source = pad.input();
    const auto reads = [&](const Op& op) {
      return std::find(op.inputs.begin(), op.inputs.end(), padded) != op.inputs.end();
    };
    if (!std::all_of(program.ops.begin(), program.ops.end(), [&](const Op& op) {
          return !reads(op) || std::holds_alternative<Conv2d>(op.kind);
        }))
      continue;
    const auto sides = padding_of(program, pad, *move);
    if (!sides || !fits(program, padded, *sides)) continue;
    for (Op& op : program.ops) {
      if (!reads(op)) continue;
      Conv2d& conv = std::get<Conv2d>(op.kind);
      for (std::size_t side = 0; side < sides->size(); ++side)
        conv.window.pad[side] += (*sides)[side];
      op.inputs = {source};
    }
    program.ops.erase(program.ops.begin() + static_cast<std::ptrdiff_t>(i));
  }
  drop_unmade_values(program);
  derive_ranges(program);
  return program;
}

}  // namespace lockstep::passes
