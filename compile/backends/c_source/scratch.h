// Where in the arena an operator finds working memory while it runs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "compile/ir/ir.h"

namespace lockstep::backends {

// The offset of `bytes` bytes that belong to no value that is alive while operator `op` runs: in
// the smallest gap that holds them, else behind all values. A multiple of the arena's alignment.
std::int64_t scratch_offset(const ir::Program& program, std::size_t op, std::int64_t bytes);

}  // namespace lockstep::backends
