// What generated C, or a plan, costs on an emulated core, operator by operator, for commands and
// benchmarks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "verify/differential/c_runner.h"
#include "verify/differential/plan_runner.h"
#include "verify/verify.h"

namespace lockstep::verify {

struct TensorCost {
  std::uint32_t tensor = 0;  // of the plan
  ExecutionCounts counts;    // of the operator that makes it
};

// A function or a table of the compiled C.
struct SymbolCost {
  std::string name;
  std::uint64_t bytes = 0;
  bool is_code = false;
  std::optional<std::uint64_t> stack_bound_bytes;  // of a function, with all that it calls
};

struct EmulatedBench {
  // Why there is no result: the C did not compile, crashed, differs from the plan, ... Then the
  // rest means nothing.
  std::string failure;
  EmulatedCost whole;               // as a device runs it
  std::uint32_t arena_bytes = 0;    // of the C
  std::vector<SymbolCost> symbols;  // of the build that a device runs
  // In the order in which the operators run, of a build with marks between them. With `outside`
  // their sum is nearly `whole`: a compiler moves less across a mark.
  std::vector<TensorCost> operators;
  ExecutionCounts outside;  // of that build: what belongs to no operator
};

// One sample of random codes for the plan's inputs: the seed alone decides about them.
Batch random_inputs(const OpenPlan& plan, std::uint64_t seed);

// Runs the program, which is the C of `plan` or `plan` itself, on one sample of `inputs`, and looks
// that all its tensors are what the plan computes. `target` must be an emulated one.
EmulatedBench run_emulated(const CTarget& target, const CProgram& program, const OpenPlan& plan,
                           const Batch& inputs);

}  // namespace lockstep::verify
