// Which values share their bytes, and while which ops these bytes are needed.
//
// Inputs live from the start, so that callers fill them before anything runs; outputs to the end.
// An op that works in place writes over an input that dies with it.
#pragma once

#include <cstdint>
#include <vector>

#include "compile/ir/ir.h"

namespace lockstep::ir {

struct Buffer {
  std::int64_t bytes = 0;            // a multiple of the arena's alignment
  std::int64_t first = 0, last = 0;  // ops during which it is alive; -1: before the first op
  std::vector<ValueId> values;       // one after the other
};

std::vector<Buffer> buffers_of(const Program& program);

// The most bytes that are alive during one op: no arena is smaller.
std::int64_t largest_live_set(const std::vector<Buffer>& buffers);

}  // namespace lockstep::ir
