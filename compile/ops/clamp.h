// Clamps of exact values: relu and, where 6 lies on the grid, relu6.
#pragma once

#include "compile/ops/lowering.h"

namespace lockstep::ops {

// min(max(code, 0), hi) in every channel; `hi` must lie in the input's code range, which
// has at most 32 bits.
NodeValue emit_clamp(Lowering& lowering, std::int64_t hi);

}  // namespace lockstep::ops
