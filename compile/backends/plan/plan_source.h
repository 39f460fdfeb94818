// A plan as C source, for a program that has it among its constants and runs it with the runtime.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "compile/backends/c_source/emit.h"

namespace lockstep::backends {

// PREFIX_plan.h and PREFIX_plan.c (docs/guide/embedded.md): the bytes, and the list of the kernels
// that they need. The same bytes give the same text. InputError when the prefix is no C identifier;
// `plan` opens.
std::vector<CFile> emit_plan_source(std::span<const std::byte> plan, const std::string& prefix);

}  // namespace lockstep::backends
