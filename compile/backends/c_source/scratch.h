// Where in the arena an operator finds working memory while it runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "compile/ir/ir.h"

namespace lockstep::backends {

struct Scratch {
  std::int64_t offset = 0, end = 0;  // multiples of the arena's alignment
};

// `bytes` bytes, or a few more, that belong to no value that is alive while operator `op` runs: in
// the smallest gap that holds them, else behind all values.
Scratch scratch_for(const ir::Program& program, std::size_t op, std::int64_t bytes);

// Operators write their output from its beginning to its end, and windows leave their input behind
// in the same order. So the end of the output is free at first, and the beginning of an input that
// nothing reads afterwards is free later.
struct SpareMemory {
  std::int64_t early = 0, late = 0;  // offsets in the arena, multiples of its alignment
  std::int64_t turn = 0;             // steps `at` that are less have the early one
};

// What an operator does between two uses of its working memory.
struct Step {
  std::int64_t at = 0;       // its number; steps rise
  std::int64_t written = 0;  // bytes of the output, from its beginning, that have been touched then
  std::int64_t needed = 0;   // the first byte of the input that it reads
};

// `bytes` bytes for each of these steps of the operator, in its own tensors; nothing where some
// step has none. The operator has one input and does not work in place.
std::optional<SpareMemory> spare_memory(const ir::Program& program, const ir::Op& op,
                                        std::int64_t bytes, const std::vector<Step>& steps);

}  // namespace lockstep::backends
