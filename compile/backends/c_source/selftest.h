// The known-answer test that goes with generated C.
#pragma once

#include <string>
#include <string_view>

#include "compile/ir/ir.h"

namespace lockstep::backends {

// The text of PREFIX_selftest.c. The answers are those of ir::evaluate.
std::string emit_selftest(const ir::Program& program, std::string_view prefix);

}  // namespace lockstep::backends
