#include "compile/backends/c_source/scratch.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "compile/ir/buffers.h"
#include "intrt/plan_format.h"

namespace lockstep::backends {
namespace {

constexpr std::int64_t kAlignment = INTRT_ARENA_ALIGNMENT;

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

Scratch scratch_for(const ir::Program& program, std::size_t op, std::int64_t wanted) {
  const std::int64_t bytes = aligned(wanted);
  const auto now = static_cast<std::int64_t>(op);
  std::vector<std::pair<std::int64_t, std::int64_t>> taken;  // begin, end
  for (const ir::Buffer& buffer : ir::buffers_of(program)) {
    if (buffer.first > now || buffer.last < now) continue;
    const std::int64_t begin = program.values[buffer.values.front()].arena_offset.value();
    taken.emplace_back(begin, begin + buffer.bytes);
  }
  std::sort(taken.begin(), taken.end());
  std::int64_t free_from = 0, best = -1, best_size = std::numeric_limits<std::int64_t>::max();
  for (const auto& [begin, end] : taken) {
    const std::int64_t gap = begin - free_from;
    if (gap >= bytes && gap < best_size) {
      best_size = gap;
      best = free_from;
    }
    free_from = std::max(free_from, end);
  }
  const std::int64_t offset = best >= 0 ? best : free_from;
  return {offset, offset + bytes};
}

std::optional<SpareMemory> spare_memory(const ir::Program& program, const ir::Op& op,
                                        std::int64_t wanted, const std::vector<Step>& steps) {
  const std::int64_t bytes = aligned(wanted);
  const ir::Value &in = program.values.at(op.input()), &out = program.values.at(op.output);
  // Where memory is planned; a program that is not laid out yet has none.
  if (!in.arena_offset || !out.arena_offset || steps.empty()) return std::nullopt;
  bool is_last_reader = false;
  for (const ir::Buffer& buffer : ir::buffers_of(program))
    if (buffer.values.back() == op.input())
      is_last_reader = buffer.last < static_cast<std::int64_t>(program.ops.size()) &&
                       &program.ops[static_cast<std::size_t>(buffer.last)] == &op;
  const std::int64_t begin = *out.arena_offset;
  SpareMemory result{.early = begin + aligned(out.byte_count()) - bytes,
                     .late = *in.arena_offset,
                     .turn = steps.back().at + 1};
  for (auto step = steps.rbegin(); is_last_reader && step != steps.rend() && step->needed >= bytes;
       ++step)
    result.turn = step->at;
  for (const Step& step : steps)
    if (step.at < result.turn && begin + step.written > result.early) return std::nullopt;
  return result;
}

}  // namespace lockstep::backends
