// PREFIX.h: the interface of a network in C.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "compile/ir/ir.h"

namespace lockstep::backends {

// What the comment in the header tells about the network.
struct CFacts {
  std::int64_t macs = 0, nonzero_macs = 0, weight_bytes = 0;
};

// What the C takes of a device. The code is an estimate.
struct CMemory {
  std::int64_t arena_bytes = 0, constant_bytes = 0, code_bytes = 0;
};

// `target` is the core that the C is written for.
std::string emit_header(const ir::Program& program, const CFacts& facts, const CMemory& memory,
                        std::string_view prefix, std::string_view target);

}  // namespace lockstep::backends
