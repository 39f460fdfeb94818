// Small tools for passes that remove ops.
#pragma once

#include <vector>

#include "compile/ir/ir.h"

namespace lockstep::passes {

// Removes values that are no input and that no op makes, and numbers the rest anew, in order.
// Returns which value each of the rest was.
std::vector<ir::ValueId> drop_unmade_values(ir::Program& program);

}  // namespace lockstep::passes
