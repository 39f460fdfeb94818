// A program as the bytes of a plan (intrt/plan_format.h).
#pragma once

#include <cstddef>
#include <vector>

#include "compile/ir/ir.h"

namespace lockstep::backends {

// `program` has been through the whole pipeline. Same program, same bytes. The runtime's own check
// accepts them; InputError names the layer that exceeds one of its limits.
std::vector<std::byte> write_plan(const ir::Program& program);

}  // namespace lockstep::backends
