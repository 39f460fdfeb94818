#include "compile/ir/buffers.h"

#include <algorithm>
#include <map>

#include "intrt/plan_format.h"

namespace lockstep::ir {
namespace {

std::int64_t aligned(std::int64_t bytes) {
  constexpr std::int64_t unit = INTRT_ARENA_ALIGNMENT;
  return (bytes + unit - 1) / unit * unit;
}

// Element on element.
bool takes_the_place_of(const Value& output, const Value& input) {
  return output.element_bytes() == input.element_bytes() && output.shape.c == input.shape.c &&
         output.shape.h == input.shape.h && output.shape.w == input.shape.w;
}

}  // namespace

std::vector<Buffer> buffers_of(const Program& program) {
  const auto end = static_cast<std::int64_t>(program.ops.size());
  std::vector<std::int64_t> last(program.values.size(), -1);
  for (std::int64_t i = 0; i < end; ++i) {
    const Op& op = program.ops[static_cast<std::size_t>(i)];
    last[op.output] = i;
    for (const ValueId id : op.inputs) last[id] = i;
  }
  for (const ValueId id : program.outputs) last[id] = end;

  std::vector<Buffer> buffers;
  std::vector<std::size_t> buffer_of(program.values.size());
  const auto add = [&](ValueId id, std::int64_t first) {
    buffer_of[id] = buffers.size();
    buffers.push_back({aligned(program.values[id].byte_count()), first, last[id], {id}});
  };
  for (const ValueId id : program.inputs) add(id, -1);
  for (std::int64_t i = 0; i < end; ++i) {
    const Op& op = program.ops[static_cast<std::size_t>(i)];
    const auto replaced = std::find_if(op.inputs.begin(), op.inputs.end(), [&](ValueId id) {
      return works_in_place(op.kind) && last[id] == i &&
             takes_the_place_of(program.values[op.output], program.values[id]);
    });
    if (replaced != op.inputs.end()) {
      Buffer& buffer = buffers[buffer_of[*replaced]];
      buffer.values.push_back(op.output);
      buffer.last = last[op.output];
      buffer_of[op.output] = buffer_of[*replaced];
    } else {
      add(op.output, i);
    }
  }
  return buffers;
}

std::int64_t largest_live_set(const std::vector<Buffer>& buffers) {
  std::map<std::int64_t, std::int64_t> changes;  // of the living bytes, by op
  for (const Buffer& buffer : buffers) {
    changes[buffer.first] += buffer.bytes;
    changes[buffer.last + 1] -= buffer.bytes;
  }
  std::int64_t living = 0, most = 0;
  for (const auto& [op, change] : changes) most = std::max(most, living += change);
  return most;
}

}  // namespace lockstep::ir
