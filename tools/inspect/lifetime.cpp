#include "tools/inspect/lifetime.h"

#include <algorithm>
#include <utility>

namespace lockstep::cli {

std::vector<Lifetime> lifetimes(const PlanFile& plan, const std::vector<PlanOperator>& operators) {
  std::vector<Lifetime> result;
  for (std::uint32_t i = 0; i < intrt_tensor_count(plan.plan()); ++i) {
    const intrt_tensor tensor = plan.tensor(i);
    result.push_back({i, plan.tensor_record(i).arena_offset,
                      std::uint64_t{tensor.element_count} * tensor.element_bytes});
  }
  for (std::size_t step = 0; step < operators.size(); ++step) {
    const auto at = static_cast<std::int64_t>(step);
    result[operators[step].output].first = result[operators[step].output].last = at;
    for (const std::uint32_t input : operators[step].inputs) result[input].last = at;
  }
  return result;
}

std::uint64_t bytes_in_use(const PlanFile& plan, const std::vector<Lifetime>& memory,
                           std::int64_t step) {
  // An output may lie where an input was: what they share counts once.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> places;
  for (const Lifetime& life : memory) {
    const bool stays = (plan.tensor(life.tensor).flags & INTRT_TENSOR_OUTPUT) != 0;
    if (life.first <= step && (stays || step <= life.last))
      places.emplace_back(life.offset, life.offset + life.bytes);
  }
  std::ranges::sort(places);
  std::uint64_t bytes = 0, end = 0;
  for (const auto& [from, to] : places) {
    if (to > end) bytes += to - std::max(from, end);
    end = std::max(end, to);
  }
  return bytes;
}

}  // namespace lockstep::cli
