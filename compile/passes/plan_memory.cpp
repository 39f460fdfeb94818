// One static arena for all values. Lifetimes are known, so placement is an offline packing problem:
// one buffer after the other goes into the tightest gap among those that live at the same time
// (best fit). The order decides how well that goes; several are tried, and the smallest arena wins.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "compile/ir/buffers.h"
#include "compile/passes/pass.h"
#include "compile/support/error.h"

namespace lockstep::passes {
namespace {

using namespace ir;

struct Placed {
  const Buffer* buffer;
  std::int64_t offset;
};

// The offset of the smallest gap that holds `buffer` between those that live at the same time.
std::int64_t best_fit(const Buffer& buffer, const std::vector<Placed>& placed) {
  std::vector<Placed> rivals;
  for (const Placed& other : placed)
    if (other.buffer->first <= buffer.last && buffer.first <= other.buffer->last)
      rivals.push_back(other);
  std::sort(rivals.begin(), rivals.end(),
            [](const Placed& a, const Placed& b) { return a.offset < b.offset; });
  std::int64_t free_from = 0, best_offset = -1;
  std::int64_t best_size = std::numeric_limits<std::int64_t>::max();
  for (const Placed& rival : rivals) {
    const std::int64_t gap = rival.offset - free_from;
    if (gap >= buffer.bytes && gap < best_size) {
      best_size = gap;
      best_offset = free_from;
    }
    free_from = std::max(free_from, rival.offset + rival.buffer->bytes);
  }
  return best_offset >= 0 ? best_offset : free_from;
}

struct Packing {
  std::vector<Placed> placed;
  std::int64_t arena_bytes = 0;
};

// Whichever buffer `before` puts first is placed first.
Packing pack(const std::vector<Buffer>& buffers,
             const std::function<bool(const Buffer&, const Buffer&)>& before) {
  std::vector<const Buffer*> order;
  for (const Buffer& buffer : buffers) order.push_back(&buffer);
  std::stable_sort(order.begin(), order.end(),
                   [&](const Buffer* a, const Buffer* b) { return before(*a, *b); });
  Packing packing;
  for (const Buffer* buffer : order) {
    packing.placed.push_back({buffer, best_fit(*buffer, packing.placed)});
    packing.arena_bytes =
        std::max(packing.arena_bytes, packing.placed.back().offset + buffer->bytes);
  }
  return packing;
}

std::int64_t duration(const Buffer& buffer) { return buffer.last - buffer.first + 1; }

Packing best_packing(const std::vector<Buffer>& buffers) {
  const std::function<bool(const Buffer&, const Buffer&)> kOrders[] = {
      [](const Buffer& a, const Buffer& b) { return a.bytes > b.bytes; },
      [](const Buffer& a, const Buffer& b) {
        return a.bytes * duration(a) > b.bytes * duration(b);
      },
      [](const Buffer& a, const Buffer& b) {
        return std::pair(duration(a), a.bytes) > std::pair(duration(b), b.bytes);
      },
      [](const Buffer& a, const Buffer& b) { return a.first < b.first; },
      [](const Buffer& a, const Buffer& b) { return a.last > b.last; },
  };
  const std::int64_t least = largest_live_set(buffers);
  Packing best;
  for (const auto& order : kOrders) {
    Packing packing = pack(buffers, order);
    if (best.placed.empty() || packing.arena_bytes < best.arena_bytes) best = std::move(packing);
    if (best.arena_bytes == least) break;
  }
  return best;
}

}  // namespace

Program plan_memory(Program program) {
  for (const Value& value : program.values)
    if (value.type() == ElementType::kInt64)
      throw InputError(fmt::format(
          "layer '{}': its sums of up to {} bits would have to be stored, but memory holds 32; let "
          "one quantize node, and nothing else, read it, or use fewer bits of its input or weight",
          value.node, value.bits));
  const std::vector<Buffer> buffers = buffers_of(program);
  const Packing packing = best_packing(buffers);
  if (packing.arena_bytes > std::int64_t{std::numeric_limits<std::uint32_t>::max()})
    throw InputError(
        fmt::format("network '{}': its values need {} bytes of memory at once, but plans "
                    "hold at most 4 GiB",
                    program.name, packing.arena_bytes));
  for (const Placed& placed : packing.placed)
    for (const ValueId id : placed.buffer->values) program.values[id].arena_offset = placed.offset;
  program.arena_bytes = packing.arena_bytes;
  return program;
}

}  // namespace lockstep::passes
