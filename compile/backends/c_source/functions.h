// One C function per op of a program, with the op's constants in front of it.
//
// Shapes are literals, so that a C compiler can unroll and strength-reduce. Sums run over
// contiguous memory; several output channels are summed at once, so that each input code is loaded
// once for all of them. Where padding cuts a window, the cut is made outside the inner loop; what
// needs a division is a table, made here.
//
// functions/ has one file per family of operators; functions.cpp finds the one for an op.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "compile/backends/c_source/c_text.h"
#include "compile/ir/ir.h"

namespace lockstep::backends {

// FUNCTION(pointer to each of `inputs`, pointer to the output), and a pointer to working memory
// where scratch_bytes is not 0, or pointers to the bytes `spare` of the arena.
struct FunctionCall {
  std::string function;
  std::vector<ir::ValueId> inputs;
  std::int64_t scratch_bytes = 0;
  std::vector<std::int64_t> spare = {};
};

// Appends the constants and the function of `op`, and returns the calls that run it, in order: one,
// except for a move of very many inputs.
std::vector<FunctionCall> emit_function(CText& text, const ir::Program& program,
                                        std::size_t op_index, std::string_view prefix);

}  // namespace lockstep::backends
