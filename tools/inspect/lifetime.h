// When the tensors of a plan are in the arena.
#pragma once

#include <cstdint>
#include <vector>

#include "tools/inspect/plan_operator.h"
#include "tools/support/open_plan.h"

namespace lockstep::cli {

// The operators between which a tensor's memory is its own. An input is there before the first, an
// output stays after the last.
struct Lifetime {
  std::uint32_t tensor;
  std::uint32_t offset;
  std::uint64_t bytes;
  std::int64_t first = -1, last = -1;
};

// Of all tensors, in order; `operators` are those of the plan.
std::vector<Lifetime> lifetimes(const PlanFile& plan, const std::vector<PlanOperator>& operators);

// How many bytes of the arena hold tensors while operator `step` runs.
std::uint64_t bytes_in_use(const PlanFile& plan, const std::vector<Lifetime>& memory,
                           std::int64_t step);

}  // namespace lockstep::cli
