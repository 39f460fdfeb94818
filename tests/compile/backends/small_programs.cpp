#include "tests/compile/backends/small_programs.h"

#include <fmt/format.h>

#include "intrt/plan_format.h"
#include "tests/compile/backends/random_ops.h"

namespace lockstep::test {

using namespace ir;

std::int64_t Dice::between(std::int64_t lo, std::int64_t hi) {
  state_ += 0x9E3779B97F4A7C15;  // Steele, Lea, Flood, "Fast splittable pseudorandom number
  std::uint64_t z = state_;      // generators", 2014
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  z ^= z >> 31;
  return lo + static_cast<std::int64_t>(z % (static_cast<std::uint64_t>(hi - lo) + 1));
}

ValueId ProgramMaker::input(const Shape& shape, int bits, bool bytes) {
  const ValueId id = program_.values.size();
  program_.values.push_back({.node = fmt::format("input{}", id),
                             .shape = shape,
                             .bits = bits,
                             .decimals = {0},
                             .ranges = {},
                             .keep = true,
                             .bytes = bytes,
                             .exact = !bytes,
                             .offsets = {},
                             .arena_offset = {}});
  Value& value = program_.values.back();
  value.ranges.assign(static_cast<std::size_t>(shape.c), code_limits(value));
  program_.inputs.push_back(id);
  return id;
}

ValueId ProgramMaker::add(OpKind kind, std::vector<ValueId> inputs, const Shape& shape, int bits) {
  const ValueId id = program_.values.size();
  program_.values.push_back({.node = fmt::format("{}{}", op_name(kind), id),
                             .shape = shape,
                             .bits = bits,
                             .decimals = {0},
                             .ranges = {},
                             .offsets = {},
                             .arena_offset = {}});
  program_.ops.push_back({.node = program_.values.back().node,
                          .inputs = std::move(inputs),
                          .output = id,
                          .kind = std::move(kind)});
  return id;
}

Program ProgramMaker::finish(bool in_place) {
  Program& program = program_;
  program.name = "small";
  program.layout = Layout::kPhysical;
  derive_ranges(program);
  const std::vector<std::size_t> readers = reader_counts(program);
  for (ValueId id = 0; id < program.values.size(); ++id)
    if (readers[id] == 0) {
      program.outputs.push_back(id);
      program.values[id].keep = true;
    }
  const auto place = [&](Value& value) {
    value.arena_offset = program.arena_bytes;
    program.arena_bytes += (value.byte_count() + INTRT_ARENA_ALIGNMENT - 1) /
                           INTRT_ARENA_ALIGNMENT * INTRT_ARENA_ALIGNMENT;
  };
  for (const ValueId id : program.inputs) place(program.values[id]);
  for (const Op& op : program.ops) {
    Value& out = program.values[op.output];
    for (const ValueId id : op.inputs) {
      const Value& in = program.values[id];
      if (in_place && works_in_place(op.kind) && !out.arena_offset && readers[id] == 1 &&
          in.element_bytes() == out.element_bytes() && in.shape.c == out.shape.c &&
          in.shape.h == out.shape.h && in.shape.w == out.shape.w)
        out.arena_offset = in.arena_offset;
    }
    if (!out.arena_offset) place(out);
  }
  validate(program);
  return std::move(program_);
}

Program random_program(std::string_view op, std::uint64_t seed) {
  Dice dice(seed);
  ProgramMaker maker;
  for (int i = 0; i < 3; ++i) add_random_op(op, maker, dice);
  return maker.finish(dice.chance(60));
}

std::vector<std::vector<std::int64_t>> random_codes(const Program& program, std::uint64_t seed,
                                                    int corner) {
  Dice dice(seed);
  std::vector<std::vector<std::int64_t>> inputs;
  for (const ValueId id : program.inputs) {
    const Range limits = code_limits(program.values[id]);
    std::vector<std::int64_t> codes(static_cast<std::size_t>(program.values[id].shape.count()));
    for (std::int64_t& code : codes)
      code = corner == 0 ? dice.between(limits.lo, limits.hi) : corner == 1 ? limits.lo : limits.hi;
    inputs.push_back(std::move(codes));
  }
  return inputs;
}

}  // namespace lockstep::test
