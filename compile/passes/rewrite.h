// Small tools for passes that remove ops.
#pragma once

#include "compile/ir/ir.h"

namespace lockstep::passes {

// Removes values that are no input and that no op makes, and numbers the rest anew, in order.
void drop_unmade_values(ir::Program& program);

}  // namespace lockstep::passes
