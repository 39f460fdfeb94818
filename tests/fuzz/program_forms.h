// What a compiled program is made of, beyond the operators of its graph: kinds of operators,
// post-ops and values. A fuzzer that never makes one of them does not check it.
#pragma once

#include <set>
#include <span>
#include <string>
#include <string_view>

#include "compile/ir/ir.h"

namespace lockstep::test {

// Every name that program_forms() may give.
std::span<const std::string_view> all_program_forms();

std::set<std::string> program_forms(const ir::Program& program);

}  // namespace lockstep::test
