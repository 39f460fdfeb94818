// A program as text. Constants are summarized (size, non-zero count), everything else is spelled
// out, so that a diff of two dumps shows what a pass did.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>

#include "compile/ir/ir.h"

namespace lockstep::ir {
namespace {

std::string shape_text(const Shape& s) {
  if (s.logical_rank == 3) return fmt::format("[{},{},{}]", s.c, s.h, s.w);
  if (s.logical_rank == 2) return fmt::format("[{},{}]", s.c, s.w);
  if (s.h == 1 && s.w == 1) return fmt::format("[{}]", s.c);
  return fmt::format("[{} as {},{},{}]", s.count(), s.c, s.h, s.w);
}

// "7", or "7..9" when channels differ.
std::string span_text(const std::vector<int>& numbers) {
  const auto [lo, hi] = std::minmax_element(numbers.begin(), numbers.end());
  return *lo == *hi ? fmt::format("{}", *lo) : fmt::format("{}..{}", *lo, *hi);
}

std::string value_text(const Value& value) {
  Range range = value.ranges.at(0);
  for (const Range& r : value.ranges) range = {std::min(range.lo, r.lo), std::max(range.hi, r.hi)};
  std::string text =
      fmt::format("{} {} bits {} decimal {} range {}..{}", value.node, shape_text(value.shape),
                  value.bits, span_text(value.decimals), range.lo, range.hi);
  if (value.keep) text += " keep";
  if (value.arena_offset) text += fmt::format(" @{}", *value.arena_offset);
  return text;
}

std::string post_text(const Post& post) {
  std::string text;
  if (post.requantize) {
    const Requantize& r = *post.requantize;
    text += fmt::format(" shift {} {} clamp {}..{}", span_text(r.shifts), rounding_name(r.rounding),
                        r.lo, r.hi);
  }
  if (!post.mask.empty())
    text += fmt::format(" mask {}/{}", std::count(post.mask.begin(), post.mask.end(), 1),
                        post.mask.size());
  return text;
}

std::string window_text(const Window& w) {
  std::string text = fmt::format(" kernel {}x{}", w.kernel[0], w.kernel[1]);
  if (w.stride != std::array<std::int64_t, 2>{1, 1})
    text += fmt::format(" stride {}x{}", w.stride[0], w.stride[1]);
  if (w.dilation != std::array<std::int64_t, 2>{1, 1})
    text += fmt::format(" dilation {}x{}", w.dilation[0], w.dilation[1]);
  if (w.has_padding()) text += fmt::format(" pad {}", fmt::join(w.pad, ","));
  return text;
}

std::string sum_text(const xt::xarray<std::int32_t>& weights, const std::vector<std::int64_t>& bias,
                     const std::vector<Accumulator>& accumulators) {
  std::int64_t magnitude = 0;
  for (const Accumulator& acc : accumulators) magnitude = std::max(magnitude, acc.magnitude);
  const auto zeros = std::count(weights.begin(), weights.end(), 0);
  return fmt::format(" weights [{}] nonzero {}{} sum<={}", fmt::join(weights.shape(), ","),
                     static_cast<std::ptrdiff_t>(weights.size()) - zeros,
                     bias.empty() ? "" : " bias", magnitude);
}

std::string parameters(const Conv2d& conv) {
  return window_text(conv.window) +
         (conv.groups == 1 ? std::string() : fmt::format(" groups {}", conv.groups)) +
         sum_text(conv.weights, conv.bias, conv.accumulators) + post_text(conv.post);
}
std::string parameters(const Linear& linear) {
  return sum_text(linear.weights, linear.bias, linear.accumulators) + post_text(linear.post);
}
std::string parameters(const MaxPool2d& pool) { return window_text(pool.window); }
std::string parameters(const RequantizeOp& op) { return post_text(op.post); }
std::string parameters(const Flatten&) { return {}; }
std::string parameters(const Transpose&) { return {}; }

}  // namespace

std::string to_text(const Program& program) {
  std::string text = fmt::format("program {} ({} order", program.name,
                                 program.layout == Layout::kLogical ? "C,H,W" : "H,W,C");
  if (program.arena_bytes > 0) text += fmt::format(", arena {} bytes", program.arena_bytes);
  text += ")\n";
  for (const ValueId id : program.inputs)
    text += fmt::format("  %{} = input: {}\n", id, value_text(program.values.at(id)));
  for (const Op& op : program.ops)
    text += fmt::format("  %{} = {} '{}' %{}{}: {}\n", op.output, op_name(op.kind), op.node,
                        fmt::join(op.inputs(), " %"),
                        std::visit([](const auto& kind) { return parameters(kind); }, op.kind),
                        value_text(program.values.at(op.output)));
  text += fmt::format("  output %{}\n", fmt::join(program.outputs, " %"));
  return text;
}

}  // namespace lockstep::ir
