#include "verify/proof/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "verify/proof/finding.h"
#include "verify/proof/plan_reader.h"

namespace lockstep::verify {
namespace {

struct Life {
  std::int64_t first = -1;          // the operator that makes it; -1: an input
  std::int64_t last = -1;           // its last reader; at least `first`
  std::int64_t begin = 0, end = 0;  // bytes in the arena
};

// The output of operator `op` may lie on an input of its own when every element is read before its
// place is written.
bool works_in_place(const PlanOp& op, const OpenPlan& plan, std::uint32_t input,
                    const std::vector<Life>& lives) {
  const bool element_by_element = op.code == PlanOp::kRequantize || op.code == PlanOp::kTable ||
                                  op.code == PlanOp::kAdd || op.code == PlanOp::kMul;
  const VisibleTensor from = plan.tensor(input), to = plan.tensor(op.output);
  return element_by_element && from.channels == to.channels && from.height == to.height &&
         from.width == to.width && lives[input].last == lives[op.output].first &&
         lives[input].begin == lives[op.output].begin && to.element_bytes <= from.element_bytes;
}

}  // namespace

std::int64_t check_memory_plan(const OpenPlan& plan) {
  const std::uint32_t tensors = intrt_tensor_count(plan.get());
  const std::uint32_t ops = intrt_op_count(plan.get());
  std::vector<Life> lives(tensors);
  for (std::uint32_t t = 0; t < tensors; ++t) {
    lives[t].begin = plan.tensor_record(t).arena_offset;
    const VisibleTensor tensor = plan.tensor(t);
    lives[t].end = lives[t].begin + tensor.element_count() * tensor.element_bytes;
    if (lives[t].end > intrt_arena_bytes(plan.get()))
      throw Difference{tensor.name,
                       fmt::format("layer '{}': its tensor ends at byte {} of an arena of {}",
                                   tensor.name, lives[t].end, intrt_arena_bytes(plan.get()))};
  }
  for (std::uint32_t k = 0; k < ops; ++k) {
    const PlanOp op = read_op(plan, k);
    lives[op.output].first = lives[op.output].last = k;
    for (const std::uint32_t input : op.inputs)
      lives[input].last = std::max<std::int64_t>(lives[input].last, k);
  }
  for (std::uint32_t i = 0; i < intrt_output_count(plan.get()); ++i)
    lives[intrt_output(plan.get(), i)].last = ops;

  for (std::uint32_t a = 0; a < tensors; ++a)
    for (std::uint32_t b = a + 1; b < tensors; ++b) {
      const Life &one = lives[a], &other = lives[b];
      const bool together = one.first <= other.last && other.first <= one.last;
      const bool overlap = one.begin < other.end && other.begin < one.end;
      if (!together || !overlap) continue;
      const VisibleTensor first = plan.tensor(a), second = plan.tensor(b);
      bool allowed = false;
      const std::int64_t meeting = std::max(one.first, other.first);
      if (meeting >= 0) {
        const PlanOp op = read_op(plan, static_cast<std::uint32_t>(meeting));
        const std::uint32_t source = op.output == b ? a : b;
        if ((op.output == a || op.output == b) &&
            std::ranges::find(op.inputs, source) != op.inputs.end())
          allowed = works_in_place(op, plan, source, lives);
      }
      if (!allowed)
        throw Difference{
            second.name,
            fmt::format(
                "layer '{}': its tensor at arena bytes {} to {} overlaps that of '{}' at {} "
                "to {}, and both are needed at the same time",
                second.name, other.begin, other.end, first.name, one.begin, one.end)};
    }
  return tensors;
}

}  // namespace lockstep::verify
