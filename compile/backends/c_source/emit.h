// A program as self-contained C99 (docs/generated-c.md).
#pragma once

#include <string>
#include <vector>

#include "compile/compile.h"

namespace lockstep::backends {

// The program has been through the whole pipeline. InputError when the prefix is no C identifier.
std::vector<CSourceFile> emit_c_source(const Compiled& compiled, const CSourceOptions& options);

}  // namespace lockstep::backends
