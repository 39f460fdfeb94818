// One C function per op of a program, with the op's constants in front of it.
//
// Shapes are literals, so that a C compiler can unroll and strength-reduce. Sums run over
// contiguous memory; several output channels are summed at once, so that each input code is loaded
// once for all of them. Where padding cuts a window, the cut is made outside the inner loop.
#pragma once

#include <string>
#include <string_view>

#include "compile/backends/c_source/c_text.h"
#include "compile/ir/ir.h"

namespace lockstep::backends {

// Appends the constants and the function of `op`, and returns the function's name. It takes a
// pointer to the input and one to the output.
std::string emit_function(CText& text, const ir::Program& program, std::size_t op_index,
                          std::string_view prefix);

}  // namespace lockstep::backends
