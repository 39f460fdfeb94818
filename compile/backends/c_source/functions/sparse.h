// Functions of operators whose weights are sparse.
#pragma once

#include "compile/backends/c_source/functions/families.h"

namespace lockstep::backends {

bool has_sparse_weights(const ir::Program& program);
// What their functions call, once for a network.
void emit_sparse_helpers(CText& text, std::string_view prefix);

FunctionCalls emit_sparse(const FunctionPlace& place, const ir::Conv2d& conv);
FunctionCalls emit_sparse(const FunctionPlace& place, const ir::Linear& linear);

}  // namespace lockstep::backends
