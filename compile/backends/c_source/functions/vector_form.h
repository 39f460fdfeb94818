// What becomes of sums, in the form that cores with vectors of 32-bit lanes compute: with products
// of which the high word alone is left (intrt/micro/mve.h).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "compile/ir/ir.h"

namespace lockstep::backends {

struct VectorForm {
  struct Channel {
    std::int64_t offset = 0;  // to be added to the sum before all else
    std::int64_t multiplier = 0, addend = 0;
    std::int64_t up_offset = 0, up_addend = 0;  // rounded up instead; only with toward_zero
  };
  bool toward_zero = false;  // else rounded down
  std::int32_t lo = 0, hi = 0;
  std::vector<Channel> channels;  // one for each output channel
};

// Nothing where a channel has steps, where the clamps of two channels differ, or where a number
// would not fit. `accumulators`: one for each output channel.
std::optional<VectorForm> vector_form(const ir::Post& post,
                                      const std::vector<ir::Accumulator>& accumulators);

}  // namespace lockstep::backends
