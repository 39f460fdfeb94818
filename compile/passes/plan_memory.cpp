// One static arena for all values. Lifetimes are known, so placement is an offline packing problem:
// largest first, each into the tightest gap among those that live at the same time (best fit).
//
// Inputs live from the start, outputs to the end, so that callers fill and read them in place. A
// requantization whose input dies with it works in place.
#include <fmt/format.h>
#include <algorithm>
#include <limits>

#include "compile/passes/pass.h"
#include "compile/support/error.h"
#include "intrt/plan_format.h"

namespace lockstep::passes {
namespace {

using namespace ir;

// Values that share their bytes, one after the other.
struct Buffer {
  std::int64_t bytes = 0;
  std::int64_t first = 0, last = 0;  // ops during which it is alive; -1: before the first op
  std::int64_t offset = 0;
  std::vector<ValueId> values;
};

std::int64_t aligned(std::int64_t bytes) {
  constexpr std::int64_t unit = INTRT_ARENA_ALIGNMENT;
  return (bytes + unit - 1) / unit * unit;
}

std::vector<Buffer> buffers_of(const Program& program) {
  const auto end = static_cast<std::int64_t>(program.ops.size());
  std::vector<std::int64_t> last(program.values.size(), -1);
  for (std::int64_t i = 0; i < end; ++i) {
    const Op& op = program.ops[static_cast<std::size_t>(i)];
    last[op.output] = i;
    for (const ValueId id : op.inputs()) last[id] = i;
  }
  for (const ValueId id : program.outputs) last[id] = end;

  std::vector<Buffer> buffers;
  std::vector<std::size_t> buffer_of(program.values.size());
  const auto add = [&](ValueId id, std::int64_t first) {
    buffer_of[id] = buffers.size();
    buffers.push_back({aligned(program.values[id].byte_count()), first, last[id], 0, {id}});
  };
  for (const ValueId id : program.inputs) add(id, -1);
  for (std::int64_t i = 0; i < end; ++i) {
    const Op& op = program.ops[static_cast<std::size_t>(i)];
    if (std::holds_alternative<RequantizeOp>(op.kind) && last[op.input] == i &&
        program.values[op.input].type() == program.values[op.output].type()) {
      Buffer& buffer = buffers[buffer_of[op.input]];
      buffer.values.push_back(op.output);
      buffer.last = last[op.output];
      buffer_of[op.output] = buffer_of[op.input];
    } else {
      add(op.output, i);
    }
  }
  return buffers;
}

// The offset of the smallest gap that holds `bytes` between the buffers that live at the same time.
std::int64_t best_fit(const Buffer& buffer, const std::vector<const Buffer*>& placed) {
  std::vector<const Buffer*> rivals;
  for (const Buffer* other : placed)
    if (other->first <= buffer.last && buffer.first <= other->last) rivals.push_back(other);
  std::sort(rivals.begin(), rivals.end(),
            [](const Buffer* a, const Buffer* b) { return a->offset < b->offset; });
  std::int64_t free_from = 0, best_offset = -1;
  std::int64_t best_size = std::numeric_limits<std::int64_t>::max();
  for (const Buffer* rival : rivals) {
    const std::int64_t gap = rival->offset - free_from;
    if (gap >= buffer.bytes && gap < best_size) {
      best_size = gap;
      best_offset = free_from;
    }
    free_from = std::max(free_from, rival->offset + rival->bytes);
  }
  return best_offset >= 0 ? best_offset : free_from;
}

}  // namespace

Program plan_memory(Program program) {
  std::vector<Buffer> buffers = buffers_of(program);
  std::vector<Buffer*> order;
  for (Buffer& buffer : buffers) order.push_back(&buffer);
  std::stable_sort(order.begin(), order.end(),
                   [](const Buffer* a, const Buffer* b) { return a->bytes > b->bytes; });
  std::vector<const Buffer*> placed;
  program.arena_bytes = 0;
  for (Buffer* buffer : order) {
    buffer->offset = best_fit(*buffer, placed);
    placed.push_back(buffer);
    program.arena_bytes = std::max(program.arena_bytes, buffer->offset + buffer->bytes);
    for (const ValueId id : buffer->values) program.values[id].arena_offset = buffer->offset;
  }
  if (program.arena_bytes > std::int64_t{std::numeric_limits<std::uint32_t>::max()})
    throw InputError(
        fmt::format("network '{}': its values need {} bytes of memory at once, but plans "
                    "hold at most 4 GiB",
                    program.name, program.arena_bytes));
  return program;
}

}  // namespace lockstep::passes
