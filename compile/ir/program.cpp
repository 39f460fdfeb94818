// Small questions about programs, answered in one place.
#include <algorithm>
#include <bit>

#include "compile/ir/ir.h"
#include "compile/support/error.h"

namespace lockstep::ir {

ElementType Value::type() const {
  return bits <= 8 ? ElementType::kInt8 : bits <= 16 ? ElementType::kInt16 : ElementType::kInt32;
}

std::int64_t Value::element_bytes() const {
  return std::int64_t{1} << (static_cast<int>(type()) - 1);
}

std::int64_t Value::byte_count() const { return shape.count() * element_bytes(); }

int Value::decimal(std::int64_t channel) const {
  return decimals.size() == 1 ? decimals[0] : decimals.at(static_cast<std::size_t>(channel));
}

int Requantize::shift(std::int64_t channel) const {
  return shifts.size() == 1 ? shifts[0] : shifts.at(static_cast<std::size_t>(channel));
}

std::int64_t Window::output_size(int axis, std::int64_t size) const {
  const auto a = static_cast<std::size_t>(axis);
  const std::int64_t room = size + pad[a] + pad[a + 2] - dilation[a] * (kernel[a] - 1) - 1;
  return room < 0 ? 0 : room / stride[a] + 1;
}

bool Window::has_padding() const {
  return std::any_of(pad.begin(), pad.end(), [](std::int64_t p) { return p != 0; });
}

std::vector<ValueId> Op::inputs() const {
  std::vector<ValueId> all{input};
  all.insert(all.end(), more_inputs.begin(), more_inputs.end());
  return all;
}

std::string_view op_name(const OpKind& kind) {
  constexpr std::string_view kNames[] = {"conv2d",     "linear",  "max_pool2d",
                                         "requantize", "flatten", "transpose"};
  static_assert(std::size(kNames) == std::variant_size_v<OpKind>);
  return kNames[kind.index()];
}

const Post* post_of(const OpKind& kind) {
  if (const auto* conv = std::get_if<Conv2d>(&kind)) return &conv->post;
  if (const auto* linear = std::get_if<Linear>(&kind)) return &linear->post;
  if (const auto* requantize = std::get_if<RequantizeOp>(&kind)) return &requantize->post;
  return nullptr;
}

Post* post_of(OpKind& kind) { return const_cast<Post*>(post_of(std::as_const(kind))); }

Range code_limits(int bits) {
  return {-(std::int64_t{1} << (bits - 1)), (std::int64_t{1} << (bits - 1)) - 1};
}

int bits_to_hold(std::int64_t lo, std::int64_t hi) {
  const auto width = [](std::int64_t x) {
    return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(x < 0 ? ~x : x))) + 1;
  };
  return std::max(width(lo), width(hi));
}

std::vector<std::size_t> reader_counts(const Program& program) {
  std::vector<std::size_t> counts(program.values.size(), 0);
  for (const Op& op : program.ops)
    for (const ValueId id : op.inputs()) ++counts.at(id);
  return counts;
}

std::int64_t logical_index(const Shape& shape, std::int64_t physical) {
  const std::int64_t channel = physical % shape.c, position = physical / shape.c;
  return channel * shape.h * shape.w + position;
}

std::vector<int> collapse(std::vector<int> per_channel) {
  LOCKSTEP_ASSERT(!per_channel.empty());
  const int first = per_channel.front();
  if (std::all_of(per_channel.begin(), per_channel.end(), [&](int x) { return x == first; }))
    return {first};
  return per_channel;
}

}  // namespace lockstep::ir
