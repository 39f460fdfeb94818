// Feature maps are stored H,W,C, but PyTorch's flatten counts C,H,W. Mostly nobody notices: a
// linear layer can have its weights reordered instead, and what acts on every element of a channel
// alike needs no order. Then flatten costs nothing. Only a reader with a decimal of its own per
// position, or one that goes by places in memory, needs a real transposition.
#include <algorithm>

#include "compile/passes/pass.h"
#include "compile/passes/rewrite.h"
#include "compile/support/error.h"

namespace lockstep::passes {
namespace {

using namespace ir;

// The vectors that stem element by element from `flattened`, itself first; empty when some reader
// of them depends on their order in memory.
std::vector<ValueId> elementwise_region(const Program& program, ValueId flattened) {
  std::vector<ValueId> region{flattened};
  for (const Op& op : program.ops)
    for (const ValueId id : op.inputs) {
      if (std::find(region.begin(), region.end(), id) == region.end()) continue;
      if (reads_by_place(op.kind)) return {};
      if (!std::holds_alternative<Linear>(op.kind)) region.push_back(op.output);
    }
  return region;
}

// What is given per feature, in (C,H,W) order, brought to one entry per channel; false, and nothing
// changed, when positions of a channel differ.
template <typename T>
bool make_per_channel(std::vector<T>& per_feature, const Shape& map) {
  const std::int64_t positions = map.h * map.w;
  std::vector<T> result;
  for (std::int64_t c = 0; c < map.c; ++c) {
    const auto first = per_feature.begin() + c * positions;
    if (!std::all_of(first, first + positions, [&](const T& x) { return x == *first; }))
      return false;
    result.push_back(*first);
  }
  per_feature = std::move(result);
  return true;
}

// Decimals or shifts, which may be one for all.
bool make_collapsed_per_channel(std::vector<int>& per_feature, const Shape& map) {
  if (per_feature.size() == 1) return true;
  if (!make_per_channel(per_feature, map)) return false;
  per_feature = collapse(std::move(per_feature));
  return true;
}

bool adapt(Op& op, const Shape& map) {
  if (auto* table = std::get_if<Table>(&op.kind)) return make_per_channel(table->table_of, map);
  Post* post = post_of(op.kind);
  if (post == nullptr) return true;
  if (Scale* scale = post->scale()) return make_per_channel(scale->channels, map);
  if (Requantize* r = post->requantize()) return make_collapsed_per_channel(r->shifts, map);
  return true;
}

// Gives `vector`, the flattened `map`, and the vectors that stem from it the map's shape. False,
// and nothing changed, when that is impossible.
bool view_as_map(Program& program, ValueId vector, ValueId map) {
  Program changed = program;
  const Shape shape = program.values[map].shape;
  const std::vector<ValueId> region = elementwise_region(program, vector);
  if (region.empty()) return false;
  for (const ValueId id : region) {
    Value& value = changed.values[id];
    if (!value.offsets.empty() || !make_collapsed_per_channel(value.decimals, shape)) return false;
    value.shape = {.c = shape.c, .h = shape.h, .w = shape.w, .logical_rank = 1};
  }
  for (Op& op : changed.ops)
    if (op.output != vector && std::find(region.begin(), region.end(), op.output) != region.end() &&
        !adapt(op, shape))
      return false;
  changed.values[vector].ranges = program.values[map].ranges;
  program = std::move(changed);
  return true;
}

// The order (C,H,W) of PyTorch's flatten, from (H,W,C).
Move to_logical_order(const Shape& map) {
  const std::int64_t positions = map.h * map.w;
  return {{{.input = 0,
            .in_first = 0,
            .out_first = 0,
            .count = {1, 1, map.c, positions},
            .in_step = {0, 0, 1, map.c},
            .out_step = {0, 0, positions, 1}}}};
}

}  // namespace

Program resolve_flatten(Program program) {
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    if (!std::holds_alternative<Flatten>(program.ops[i].kind)) continue;
    const ValueId map = program.ops[i].input(), vector = program.ops[i].output;
    // A kept vector needs bytes of its own, or to take over those of a map that nobody else wants.
    const bool take_over = !program.values[map].keep && reader_counts(program)[map] == 1;
    const bool possible = take_over || !program.values[vector].keep;
    if (!possible || !view_as_map(program, vector, map)) {
      program.ops[i].kind = to_logical_order(program.values[map].shape);
      continue;
    }
    if (program.values[vector].keep) {
      for (Op& op : program.ops)
        if (op.output == map) op.output = vector;
    } else {
      for (Op& op : program.ops) std::replace(op.inputs.begin(), op.inputs.end(), vector, map);
    }
    program.ops.erase(program.ops.begin() + static_cast<std::ptrdiff_t>(i--));
  }
  drop_unmade_values(program);
  derive_ranges(program);  // now per channel where they were per feature
  return program;
}

}  // namespace lockstep::passes
