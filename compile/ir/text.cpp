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

// "0..2,5,7": rising runs as their ends.
std::string list_text(const std::vector<std::int64_t>& numbers) {
  std::vector<std::string> texts;
  for (std::size_t first = 0, last = 0; first < numbers.size(); first = ++last) {
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    texts.push_back(first == last ? fmt::to_string(numbers[first])
                                  : fmt::format("{}..{}", numbers[first], numbers[last]));
  }
  return fmt::format("{}", fmt::join(texts, ","));
}

std::string value_text(const Value& value) {
  Range range = value.ranges.at(0);
  for (const Range& r : value.ranges) range = {std::min(range.lo, r.lo), std::max(range.hi, r.hi)};
  std::string text =
      fmt::format("{} {} bits {} decimal {} range {}..{}", value.node, shape_text(value.shape),
                  value.bits, span_text(value.decimals), range.lo, range.hi);
  if (value.bytes) text += " bytes";
  if (!value.channels.empty()) text += fmt::format(" channels {}", list_text(value.channels));
  if (!value.exact && !value.bytes) text += " pending";
  if (!value.offsets.empty()) text += " offsets";
  if (value.keep) text += " keep";
  if (value.arena_offset) text += fmt::format(" @{}", *value.arena_offset);
  return text;
}

std::string mask_text(const std::vector<std::uint8_t>& mask) {
  if (mask.empty()) return {};
  return fmt::format(" mask {}/{}", std::count(mask.begin(), mask.end(), 1), mask.size());
}

// How many channels multiply and how many have steps, and how many steps in all.
std::string scale_text(const Scale& scale) {
  std::size_t with_steps = 0, steps = 0;
  Range limits = {scale.channels.at(0).lo, scale.channels.at(0).hi};
  for (const ChannelScale& c : scale.channels) {
    with_steps += c.has_steps() ? 1 : 0;
    steps += c.thresholds.size();
    limits = {std::min<std::int64_t>(limits.lo, c.lo), std::max<std::int64_t>(limits.hi, c.hi)};
  }
  std::string text = fmt::format(" scale {}", rounding_name(scale.rounding));
  if (with_steps < scale.channels.size())
    text += fmt::format(" multiply {} clamp {}..{}", scale.channels.size() - with_steps, limits.lo,
                        limits.hi);
  if (with_steps > 0) text += fmt::format(" step {} ({} steps)", with_steps, steps);
  return text;
}

std::string post_text(const Post& post) {
  std::string text;
  if (const Requantize* r = post.requantize())
    text += fmt::format(" shift {} {} clamp {}..{}", span_text(r->shifts),
                        rounding_name(r->rounding), r->lo, r->hi);
  if (const Scale* scale = post.scale()) text += scale_text(*scale);
  return text + mask_text(post.mask);
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

std::string most_text(const std::vector<Accumulator>& accumulators) {
  std::int64_t magnitude = 0;
  for (const Accumulator& acc : accumulators) magnitude = std::max(magnitude, acc.magnitude);
  return fmt::format(" sum<={}", magnitude);
}

std::string sum_text(bool wide, const xt::xarray<std::int32_t>& weights,
                     const std::vector<std::int64_t>& bias,
                     const std::vector<Accumulator>& accumulators) {
  const auto zeros = std::count(weights.begin(), weights.end(), 0);
  return fmt::format(
             "{} weights [{}] nonzero {}{}", wide ? " wide" : "", fmt::join(weights.shape(), ","),
             static_cast<std::ptrdiff_t>(weights.size()) - zeros, bias.empty() ? "" : " bias") +
         most_text(accumulators);
}

// How the weights are kept: " sparse", or the end and the shift of every segment.
template <typename Kind>
std::string storage_text(const Kind& kind) {
  std::string text = kind.sparse ? " sparse" : "";
  if (!kind.segments.empty()) text += " segments";
  for (const Segment& segment : kind.segments)
    text += fmt::format(" {}:{}", segment.end, segment.shift);
  return text;
}

std::string parameters(const Conv2d& conv) {
  return window_text(conv.window) +
         (conv.groups == 1 ? std::string() : fmt::format(" groups {}", conv.groups)) +
         storage_text(conv) + sum_text(conv.wide, conv.weights, conv.bias, conv.accumulators) +
         post_text(conv.post);
}
std::string parameters(const Linear& linear) {
  return storage_text(linear) +
         sum_text(linear.wide, linear.weights, linear.bias, linear.accumulators) +
         post_text(linear.post);
}
std::string parameters(const MaxPool2d& pool) { return window_text(pool.window); }
std::string parameters(const RequantizeOp& op) { return post_text(op.post); }
std::string parameters(const ConvTranspose2d& conv) {
  Window window{conv.kernel, conv.stride, conv.dilation, {conv.pad[0], conv.pad[1], 0, 0}};
  return window_text(window) +
         (conv.groups == 1 ? std::string() : fmt::format(" groups {}", conv.groups)) +
         sum_text(conv.wide, conv.weights, conv.bias, conv.accumulators) + post_text(conv.post);
}
std::string span_list_text(const std::vector<PoolSpan>& spans) {
  std::vector<std::string> texts;
  constexpr std::size_t kShown = 4;
  for (std::size_t i = 0; i < std::min(spans.size(), kShown); ++i)
    texts.push_back(fmt::format(
        "{}-{}{}", spans[i].begin, spans[i].end,
        spans[i].multiplier == 1 ? std::string() : fmt::format("x{}", spans[i].multiplier)));
  if (spans.size() > kShown) texts.emplace_back("...");
  return fmt::format("{}", fmt::join(texts, ","));
}
std::string parameters(const AvgPool2d& pool) {
  return fmt::format(" rows {} columns {}", span_list_text(pool.rows),
                     span_list_text(pool.columns)) +
         most_text(pool.accumulators) + post_text(pool.post);
}
std::string multiplier_text(const std::vector<std::int32_t>& multipliers) {
  return span_text({multipliers.begin(), multipliers.end()});
}
std::string parameters(const Add& add) {
  return fmt::format(" times {} and {}", multiplier_text(add.multipliers[0]),
                     multiplier_text(add.multipliers[1])) +
         most_text(add.accumulators) + post_text(add.post);
}
std::string parameters(const Mul& mul) { return most_text(mul.accumulators) + post_text(mul.post); }
std::string parameters(const Table& table) {
  return fmt::format(" tables {}x{}", table.tables.size(), table.tables.at(0).size()) +
         mask_text(table.mask);
}
std::string parameters(const Move& move) { return fmt::format(" pieces {}", move.pieces.size()); }
std::string parameters(const ArgMax&) { return {}; }
std::string parameters(const Flatten&) { return {}; }

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
                        fmt::join(op.inputs, " %"),
                        std::visit([](const auto& kind) { return parameters(kind); }, op.kind),
                        value_text(program.values.at(op.output)));
  text += fmt::format("  output %{}\n", fmt::join(program.outputs, " %"));
  return text;
}

}  // namespace lockstep::ir
