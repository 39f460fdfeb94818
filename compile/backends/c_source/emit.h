// A program as self-contained C99 (docs/generated-c.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compile/ir/ir.h"

namespace lockstep::backends {

struct CFile {
  std::string name, text;
};

// What the comment in the header tells about the network.
struct CFacts {
  std::int64_t macs = 0, nonzero_macs = 0, weight_bytes = 0;
};

// `program` has been through the whole pipeline. InputError when the prefix is no C identifier or
// the target unknown.
std::vector<CFile> emit_c_source(const ir::Program& program, const CFacts& facts,
                                 const std::string& prefix, std::string_view target);

}  // namespace lockstep::backends
