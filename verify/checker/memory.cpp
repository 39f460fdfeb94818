#include "verify/checker/memory.h"

#include <fmt/format.h>

#include <algorithm>

#include "verify/checker/settle.h"

namespace lockstep::checker {

Int check_memory(const Plan& plan) {
  const auto ops = static_cast<Int>(plan.ops.size());
  struct Life {
    Int made = -1, last = -1;
  };
  std::vector<Life> lives(plan.tensors.size());
  for (Int k = 0; k < ops; ++k) {
    const PlanOp& op = plan.ops[static_cast<std::size_t>(k)];
    lives[op.output] = {k, std::max(k, lives[op.output].last)};
    for (const std::size_t input : op.inputs) lives[input].last = k;
  }
  for (const std::size_t output : plan.outputs) lives[output].last = ops;

  // Whether tensor b, made by the last operator that reads a, may lie on it.
  const auto in_place = [&](std::size_t a, std::size_t b) {
    if (lives[b].made < 0 || lives[a].last != lives[b].made) return false;
    const PlanOp& op = plan.ops[static_cast<std::size_t>(lives[b].made)];
    const bool by_element = op.code == OpCode::kRequantize || op.code == OpCode::kTable ||
                            op.code == OpCode::kAdd || op.code == OpCode::kMul;
    const PlanTensor &from = plan.tensors[a], &to = plan.tensors[b];
    return by_element && std::ranges::find(op.inputs, a) != op.inputs.end() &&
           from.channels == to.channels && from.height == to.height && from.width == to.width &&
           from.arena_offset == to.arena_offset && to.bytes <= from.bytes;
  };
  Int pairs = 0;
  for (std::size_t a = 0; a < plan.tensors.size(); ++a) {
    const PlanTensor& one = plan.tensors[a];
    if (one.arena_offset < 0 || one.arena_offset + one.bytes > plan.arena_bytes)
      wrong(one.name, "memory", "its tensor leaves the arena");
    for (std::size_t b = a + 1; b < plan.tensors.size(); ++b) {
      if (lives[a].made > lives[b].last || lives[b].made > lives[a].last) continue;
      ++pairs;
      const PlanTensor& other = plan.tensors[b];
      const bool overlap = one.arena_offset < other.arena_offset + other.bytes &&
                           other.arena_offset < one.arena_offset + one.bytes;
      if (overlap && !in_place(a, b) && !in_place(b, a))
        wrong(
            other.name, "memory",
            fmt::format("its tensor at arena bytes {} to {} overlaps that of '{}' at {} to {}, and "
                        "both are needed at the same time",
                        other.arena_offset, other.arena_offset + other.bytes, one.name,
                        one.arena_offset, one.arena_offset + one.bytes));
    }
  }
  return pairs;
}

}  // namespace lockstep::checker
