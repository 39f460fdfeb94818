// A program as self-contained C99 (docs/generated-c.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compile/backends/c_source/header.h"
#include "compile/backends/c_source/strategies/strategy.h"
#include "compile/ir/ir.h"

namespace lockstep::backends {

struct CFile {
  std::string name, text;
};

// How one operator was written, and what that is estimated to cost.
struct CStrategy {
  std::string node, op, strategy;
  StrategyCost cost;
  std::vector<std::pair<std::string, StrategyCost>> alternatives;  // all, the taken one included
};

struct CNetwork {
  std::vector<CFile> files;
  std::vector<CStrategy> operators;  // in order
  std::int64_t arena_bytes = 0;      // with the working memory of operators
};

// `program` has been through the whole pipeline. InputError when the prefix is no C identifier or
// the target unknown, or when nothing fits the budget.
CNetwork emit_c_source(const ir::Program& program, const CFacts& facts, const std::string& prefix,
                       std::string_view target, const Budget& budget);

}  // namespace lockstep::backends
