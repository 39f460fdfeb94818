// Small questions about programs, answered in one place.
#include <algorithm>
#include <bit>

#include "compile/ir/ir.h"
#include "compile/support/error.h"
#include "intrt/arith.h"

namespace lockstep::ir {

ElementType Value::type() const {
  if (bytes) return ElementType::kUInt8;
  return bits <= 8    ? ElementType::kInt8
         : bits <= 16 ? ElementType::kInt16
         : bits <= 32 ? ElementType::kInt32
                      : ElementType::kInt64;
}

std::int64_t Value::element_bytes() const {
  switch (type()) {
    case ElementType::kInt16:
      return 2;
    case ElementType::kInt32:
      return 4;
    case ElementType::kInt64:
      return 8;
    default:
      return 1;
  }
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

std::string_view op_name(const OpKind& kind) {
  constexpr std::string_view kNames[] = {
      "conv2d", "conv_transpose2d", "linear", "max_pool2d", "avg_pool2d", "add",
      "mul",    "requantize",       "table",  "move",       "argmax",     "flatten"};
  static_assert(std::size(kNames) == std::variant_size_v<OpKind>);
  return kNames[kind.index()];
}

const Post* post_of(const OpKind& kind) {
  return std::visit(
      [](const auto& op) -> const Post* {
        if constexpr (requires { op.post; }) return &op.post;
        return nullptr;
      },
      kind);
}

Post* post_of(OpKind& kind) { return const_cast<Post*>(post_of(std::as_const(kind))); }

const std::vector<Accumulator>* accumulators_of(const OpKind& kind) {
  return std::visit(
      [](const auto& op) -> const std::vector<Accumulator>* {
        if constexpr (requires { op.accumulators; }) return &op.accumulators;
        return nullptr;
      },
      kind);
}

std::vector<Accumulator>* accumulators_of(OpKind& kind) {
  return const_cast<std::vector<Accumulator>*>(accumulators_of(std::as_const(kind)));
}

std::vector<int> weight_shifts(const std::vector<Segment>& segments, std::int64_t channels) {
  constexpr int kMost = 62;  // of a weight other than 0, 30 is beyond every accumulator
  std::vector<int> shifts(static_cast<std::size_t>(channels), 0);
  int later = 0;
  std::int64_t end = channels;
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    const std::int64_t begin = std::next(segment) == segments.rend() ? 0 : std::next(segment)->end;
    std::fill(shifts.begin() + begin, shifts.begin() + end, later);
    later = std::min(kMost, later + segment->shift);
    end = begin;
  }
  return shifts;
}

std::int32_t apply(const PostFunction& function, std::int64_t channel, std::int64_t wide) {
  const auto acc = static_cast<std::int32_t>(wide);
  if (const auto* r = std::get_if<Requantize>(&function)) {
    const int shift = r->shift(channel), rounding = static_cast<int>(r->rounding);
    if (acc == wide && shift <= INTRT_SHIFT_MAX)
      return intrt_requantize(acc, shift, rounding, r->lo, r->hi);
    LOCKSTEP_ASSERT(shift >= 0);
    return intrt_requantize_wide(wide, shift, rounding, r->lo, r->hi);
  }
  LOCKSTEP_ASSERT(acc == wide);
  const auto* scale = std::get_if<Scale>(&function);
  if (scale == nullptr) return acc;
  const ChannelScale& c = scale->channels.at(static_cast<std::size_t>(channel));
  if (c.has_steps())
    return intrt_step(acc, c.thresholds.data(), static_cast<std::uint32_t>(c.thresholds.size()),
                      c.codes.data());
  return intrt_scale(acc, c.multiplier, c.addend, c.shift, static_cast<int>(scale->rounding), c.lo,
                     c.hi);
}

Range code_limits(int bits) {
  return {-(std::int64_t{1} << (bits - 1)), (std::int64_t{1} << (bits - 1)) - 1};
}

Range code_limits(const Value& value) {
  return value.bytes ? Range{0, 255} : code_limits(value.bits);
}

Requantize identity_requantize(int bits) {
  LOCKSTEP_ASSERT(bits <= kMostStoredBits);
  const Range limits = code_limits(bits);
  return {.shifts = {0},
          .rounding = Rounding::kTowardZero,
          .lo = static_cast<std::int32_t>(limits.lo),
          .hi = static_cast<std::int32_t>(limits.hi)};
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
    for (const ValueId id : op.inputs) ++counts.at(id);
  return counts;
}

std::int64_t logical_index(const Shape& shape, std::int64_t physical) {
  const std::int64_t channel = physical % shape.c, position = physical / shape.c;
  return channel * shape.h * shape.w + position;
}

bool reads_by_place(const OpKind& kind) {
  return !std::holds_alternative<Linear>(kind) && !std::holds_alternative<RequantizeOp>(kind) &&
         !std::holds_alternative<Table>(kind);
}

bool works_in_place(const OpKind& kind) {
  return std::holds_alternative<RequantizeOp>(kind) || std::holds_alternative<Table>(kind) ||
         std::holds_alternative<Add>(kind) || std::holds_alternative<Mul>(kind);
}

std::vector<int> collapse(std::vector<int> per_channel) {
  LOCKSTEP_ASSERT(!per_channel.empty());
  const int first = per_channel.front();
  if (std::all_of(per_channel.begin(), per_channel.end(), [&](int x) { return x == first; }))
    return {first};
  return per_channel;
}

}  // namespace lockstep::ir
