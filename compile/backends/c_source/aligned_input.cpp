#include "compile/backends/c_source/aligned_input.h"

#include <algorithm>
#include <optional>

#include "compile/support/error.h"

namespace lockstep::backends {
namespace {

using namespace ir;

// Whether the code of an element never falls where that of its input rises.
bool never_falls(const Program& program, const Op& op) {
  if (std::holds_alternative<Table>(op.kind)) return program.values[op.input()].bytes;
  const auto* const requantize = std::get_if<RequantizeOp>(&op.kind);
  return requantize != nullptr && requantize->post.scale() == nullptr;
}

// The operator, and which of the program's inputs it reads.
struct First {
  const Op* op;
  std::size_t input;
};

std::optional<First> first_sum(const Program& program) {
  const auto number_of = [&](ValueId id) -> std::optional<std::size_t> {
    for (auto op = program.ops.rbegin(); op != program.ops.rend(); ++op)
      if (op->output == id && never_falls(program, *op)) id = op->input();
    const auto found = std::ranges::find(program.inputs, id);
    if (found == program.inputs.end()) return std::nullopt;
    return static_cast<std::size_t>(found - program.inputs.begin());
  };
  for (const Op& op : program.ops)
    if (std::holds_alternative<Conv2d>(op.kind) || std::holds_alternative<Linear>(op.kind))
      if (const auto input = number_of(op.input())) return First{&op, *input};
  return std::nullopt;
}

class Bits {
 public:
  Bits(std::int64_t first, std::int64_t count, std::int64_t most)
      : first_(first), bits_(static_cast<std::size_t>(std::min(first + count, most)), 0) {}

  bool holds(std::int64_t element) const { return first_ + element < std::ssize(bits_); }
  void set(std::int64_t element, bool highest) {
    bits_[static_cast<std::size_t>(first_ + element)] = highest ? 1 : 0;
  }
  std::vector<std::uint8_t> take() { return std::move(bits_); }

 private:
  std::int64_t first_;  // of the elements of all inputs: the first of the one that is read
  std::vector<std::uint8_t> bits_;
};

void align(const Linear& linear, Bits& bits) {
  const auto most = std::ranges::max_element(linear.accumulators, {}, &Accumulator::magnitude);
  const auto channel = static_cast<std::size_t>(most - linear.accumulators.begin());
  const std::size_t count = linear.weights.shape(1);
  for (std::size_t k = 0; k < count; ++k)
    if (bits.holds(static_cast<std::int64_t>(k)))
      bits.set(static_cast<std::int64_t>(k), linear.weights(channel, k) > 0);
}

void align(const Conv2d& conv, const Shape& input, Bits& bits) {
  const Window& window = conv.window;
  const auto outputs = static_cast<std::int64_t>(conv.weights.shape(0)),
             group_inputs = static_cast<std::int64_t>(conv.weights.shape(3)),
             group_outputs = outputs / conv.groups;
  const std::int64_t size[] = {input.h, input.w};
  std::int64_t extent[2], first[2], step[2];  // of windows along both axes, in input rows, columns
  for (std::size_t axis = 0; axis < 2; ++axis) {
    extent[axis] = (window.kernel[axis] - 1) * window.dilation[axis] + 1;
    const std::int64_t pad = window.pad[axis], stride = window.stride[axis];
    first[axis] = (pad + stride - 1) / stride * stride - pad;  // the first one without padding
    step[axis] = (extent[axis] + stride - 1) / stride * stride;
  }
  // body(element, tap row, tap column, channel in its group), for every element of a window.
  const auto each = [&](std::int64_t y, std::int64_t x, std::int64_t group, const auto& body) {
    for (std::int64_t ky = 0; ky < window.kernel[0]; ++ky)
      for (std::int64_t kx = 0; kx < window.kernel[1]; ++kx)
        for (std::int64_t i = 0; i < group_inputs; ++i)
          body(((y + ky * window.dilation[0]) * input.w + x + kx * window.dilation[1]) * input.c +
                   group * group_inputs + i,
               static_cast<std::size_t>(ky), static_cast<std::size_t>(kx),
               static_cast<std::size_t>(i));
  };
  std::int64_t turn = 0;
  for (std::int64_t y = first[0]; y + extent[0] <= size[0]; y += step[0])
    for (std::int64_t x = first[1]; x + extent[1] <= size[1]; x += step[1], ++turn)
      for (std::int64_t group = 0; group < conv.groups; ++group) {
        bool fits = true;
        each(y, x, group, [&](std::int64_t element, std::size_t, std::size_t, std::size_t) {
          fits = fits && bits.holds(element);
        });
        if (!fits) continue;
        const auto channel = static_cast<std::size_t>(group * group_outputs + turn % group_outputs);
        const bool largest = turn / group_outputs % 2 == 0;
        each(y, x, group, [&](std::int64_t element, std::size_t ky, std::size_t kx, std::size_t i) {
          bits.set(element, (conv.weights(channel, ky, kx, i) > 0) == largest);
        });
      }
}

}  // namespace

std::vector<std::uint8_t> aligned_bits(const Program& program, std::int64_t most) {
  LOCKSTEP_ASSERT(program.layout == Layout::kPhysical);
  const std::optional<First> first = first_sum(program);
  if (!first) return {};
  std::int64_t before = 0;
  for (std::size_t i = 0; i < first->input; ++i)
    before += program.values[program.inputs[i]].shape.count();
  const Shape& input = program.values[first->op->input()].shape;
  Bits bits(before, input.count(), most);
  if (const auto* const conv = std::get_if<Conv2d>(&first->op->kind))
    align(*conv, input, bits);
  else
    align(std::get<Linear>(first->op->kind), bits);
  return bits.take();
}

}  // namespace lockstep::backends
