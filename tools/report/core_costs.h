// What generated C, or a plan, costs on an emulated core, in all and operator by operator: the rows
// of bench --target and of its page.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "verify/verify.h"

namespace lockstep::cli {

struct OperatorCost {
  std::string name, kind;  // the graph node and the operator
  std::uint64_t macs = 0;
  verify::ExecutionCounts counts;
  // Of its functions and tables; nothing of what they share with others.
  std::uint64_t code_bytes = 0, constant_bytes = 0;
  std::uint64_t ram_bytes = 0;                       // of tensors in the arena while it runs
  std::optional<std::uint64_t> stack_bound_bytes{};  // of it and all that it calls

  std::uint64_t flash_bytes() const { return code_bytes + constant_bytes; }
};

struct CoreCost {
  std::string target, processor;  // "cortex-m4", "Cortex-M4"
  std::string compiler;           // with its flags
  std::vector<OperatorCost> operators;
  // What belongs to no operator, and the whole. The operators' counts are of a build with marks
  // between them, so their sum may differ a little from the whole.
  OperatorCost outside, whole;
  std::uint64_t opening_instructions = 0;          // of a plan: before the first inference
  std::uint64_t arena_bytes = 0, stack_bytes = 0;  // the latter as measured
};

}  // namespace lockstep::cli
