// The emitters of functions, one per kind of op; each appends what emit_function promises.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "compile/backends/c_source/c_text.h"
#include "compile/backends/c_source/functions.h"
#include "compile/ir/ir.h"

namespace lockstep::backends {

struct FunctionPlace {  // the op to emit, and where to
  CText& text;
  const ir::Program& program;
  std::size_t op_index;
  std::string_view prefix;
};
using FunctionCalls = std::vector<FunctionCall>;

FunctionCalls emit_kind(const FunctionPlace& place, const ir::Conv2d& conv);
FunctionCalls emit_kind(const FunctionPlace& place, const ir::ConvTranspose2d& conv);
FunctionCalls emit_kind(const FunctionPlace& place, const ir::Linear& linear);
FunctionCalls emit_kind(const FunctionPlace& place, const ir::MaxPool2d& pool);
FunctionCalls emit_kind(const FunctionPlace& place, const ir::AvgPool2d& pool);
FunctionCalls emit_kind(const FunctionPlace& place, const ir::Add& add);
FunctionCalls emit_kind(const FunctionPlace& place, const ir::Mul& mul);
FunctionCalls emit_kind(const FunctionPlace& place, const ir::RequantizeOp& requantize);
FunctionCalls emit_kind(const FunctionPlace& place, const ir::Table& table);
FunctionCalls emit_kind(const FunctionPlace& place, const ir::Move& move);
FunctionCalls emit_kind(const FunctionPlace& place, const ir::ArgMax& argmax);

}  // namespace lockstep::backends
