#include "compile/backends/c_source/functions.h"

#include <type_traits>

#include "compile/backends/c_source/functions/families.h"
#include "compile/support/error.h"

namespace lockstep::backends {

std::vector<FunctionCall> emit_function(CText& text, const ir::Program& program,
                                        std::size_t op_index, std::string_view prefix) {
  const ir::Op& op = program.ops.at(op_index);
  return std::visit(
      [&]<typename Kind>(const Kind& kind) -> FunctionCalls {
        if constexpr (std::is_same_v<Kind, ir::Flatten>) {
          LOCKSTEP_ASSERT(false);  // resolve-flatten leaves none
        } else {
          return emit_kind({text, program, op_index, prefix}, kind);
        }
      },
      op.kind);
}

}  // namespace lockstep::backends
