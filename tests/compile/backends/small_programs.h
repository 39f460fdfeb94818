// Programs made by hand for tests of the backends, op by op, with all that lowering and the passes
// would have filled in.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "compile/ir/ir.h"

namespace lockstep::test {

// Pseudo-random numbers that are the same everywhere (SplitMix64), unlike those of <random>.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::int64_t between(std::int64_t lo, std::int64_t hi);  // inclusive; the distance below 2^63
  bool chance(int percent) { return between(1, 100) <= percent; }

 private:
  std::uint64_t state_;
};

// Assembles a program in physical layout.
class ProgramMaker {
 public:
  ir::ValueId input(const ir::Shape& shape, int bits, bool bytes = false);
  ir::ValueId add(ir::OpKind kind, std::vector<ir::ValueId> inputs, const ir::Shape& shape,
                  int bits);
  ir::Value& value(ir::ValueId id) { return program_.values[id]; }

  // Values that nothing reads become outputs; accumulators and ranges are derived; every value gets
  // memory of its own, or, where that is allowed and `in_place` says so, that of its input. What
  // comes out has passed ir::validate.
  ir::Program finish(bool in_place);

 private:
  ir::Program program_;
};

// What random_program can make.
inline constexpr std::string_view kOperators[] = {
    "conv2d", "conv_transpose2d", "linear", "max_pool2d", "avg_pool2d", "add",
    "mul",    "requantize",       "table",  "move",       "argmax"};

// A program with several ops of one operator, of random shapes, types and post-ops.
ir::Program random_program(std::string_view op, std::uint64_t seed);

// Codes of every input in (C,H,W) order: pseudo-random, or all lowest (corner 1), or all highest
// (corner 2).
std::vector<std::vector<std::int64_t>> random_codes(const ir::Program& program, std::uint64_t seed,
                                                    int corner);

}  // namespace lockstep::test
