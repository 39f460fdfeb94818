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

}  // namespace

Scratch scratch_for(const ir::Program& program, std::size_t op, std::int64_t wanted) {
  const std::int64_t bytes = (wanted + kAlignment - 1) / kAlignment * kAlignment;
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

}  // namespace lockstep::backends
