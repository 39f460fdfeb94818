// Where in the arena an operator finds working memory while it runs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "compile/ir/ir.h"

namespace lockstep::backends {

struct Scratch {
  std::int64_t offset = 0, end = 0;  // multiples of the arena's alignment
};

// `bytes` bytes, or a few more, that belong to no value that is alive while operator `op` runs: in
// the smallest gap that holds them, else behind all values.
Scratch scratch_for(const ir::Program& program, std::size_t op, std::int64_t bytes);

}  // namespace lockstep::backends
