// Pooling in one and two dimensions: windows of any shape, with ceil_mode and padding.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <numeric>

#include "tests/fuzz/random_graph/node_kinds.h"

namespace lockstep::test {
namespace {

std::size_t spatial_axes(std::string_view op) { return op[op.size() - 2] == '1' ? 1 : 2; }

struct Windows {
  Sizes kernel, stride, padding;
  bool ceil = false, count_padding = true;

  std::string attributes() const {
    return fmt::format(R"({{"kernel_size":[{}],"stride":[{}],"padding":[{}],"ceil_mode":{})",
                       fmt::join(kernel, ","), fmt::join(stride, ","), fmt::join(padding, ","),
                       ceil ? "true" : "false");
  }
};

Windows random_windows(Random& random, std::size_t axes) {
  Windows windows;
  for (std::size_t a = 0; a < axes; ++a) {
    windows.kernel.push_back(random.between(1, random.chance(20) ? 5 : 3));
    windows.stride.push_back(random.between(1, 3));
    windows.padding.push_back(random.chance(35) ? random.between(0, windows.kernel[a] / 2) : 0);
  }
  windows.ceil = random.chance(40);
  windows.count_padding = random.chance(50);
  return windows;
}

// How many positions each window of one axis divides by.
Sizes sliding_counts(const Windows& windows, std::size_t axis, std::int64_t size,
                     std::int64_t positions) {
  Sizes counts;
  for (std::int64_t i = 0; i < positions; ++i) {
    const std::int64_t start = i * windows.stride[axis] - windows.padding[axis];
    const std::int64_t end = std::min(start + windows.kernel[axis], size + windows.padding[axis]);
    counts.push_back(windows.count_padding
                         ? end - start
                         : std::min(end, size) - std::max<std::int64_t>(start, 0));
  }
  return counts;
}

Sizes adaptive_counts(std::int64_t size, std::int64_t positions) {
  Sizes counts;
  for (std::int64_t i = 0; i < positions; ++i)
    counts.push_back(((i + 1) * size + positions - 1) / positions - i * size / positions);
  return counts;
}

std::int64_t common_divisor(const Sizes& counts) {
  std::int64_t divisor = 1;
  for (const std::int64_t count : counts)
    divisor = std::lcm(divisor, std::max<std::int64_t>(count, 1));
  return divisor;
}

}  // namespace

bool add_max_pool(GraphBuilder& graph, std::string_view op) {
  Random& random = graph.random;
  ValueIndex input = graph.pick();
  const std::size_t axes = spatial_axes(op);
  if (graph.value(input).rank() != axes + 1) return false;
  const Windows windows = random_windows(random, axes);
  Sizes dilation;
  for (std::size_t a = 0; a < axes; ++a)
    dilation.push_back(random.chance(20) && windows.padding[a] == 0 ? 2 : 1);
  const std::string attributes =
      windows.attributes() + fmt::format(R"(,"dilation":[{}]}})", fmt::join(dilation, ","));
  const auto shape = graph.shape_of(std::string(op), input, attributes);
  if (!shape) return false;
  const GraphValue& before = graph.value(input);
  if (!before.exact() && (!before.rises || before.masked)) input = graph.exact(input);
  GraphValue out = graph.value(input);
  out.shape = *shape;
  graph.add(std::string(op), input, attributes, std::move(out));
  return true;
}

bool add_avg_pool(GraphBuilder& graph, std::string_view op) {
  Random& random = graph.random;
  ValueIndex input = graph.pick();
  const std::size_t axes = spatial_axes(op);
  if (graph.value(input).rank() != axes + 1) return false;
  const Sizes in = graph.value(input).shape;
  std::string attributes;
  std::int64_t divisor = 1;
  std::optional<Sizes> shape;
  if (op.rfind("adaptive", 0) == 0) {
    Sizes size;
    for (std::size_t a = 0; a < axes; ++a)
      size.push_back(
          random.chance(40) ? 1 : random.between(1, std::min<std::int64_t>(in[a + 1] + 1, 6)));
    attributes = fmt::format(R"({{"output_size":[{}]}})", fmt::join(size, ","));
    shape = graph.shape_of(std::string(op), input, attributes);
    if (!shape) return false;
    for (std::size_t a = 0; a < axes; ++a)
      divisor *= common_divisor(adaptive_counts(in[a + 1], size[a]));
  } else {
    const Windows windows = random_windows(random, axes);
    attributes = windows.attributes() + fmt::format(R"(,"count_include_pad":{}}})",
                                                    windows.count_padding ? "true" : "false");
    shape = graph.shape_of(std::string(op), input, attributes);
    if (!shape) return false;
    for (std::size_t a = 0; a < axes; ++a)
      divisor *= common_divisor(sliding_counts(windows, a, in[a + 1], (*shape)[a + 1]));
  }
  const int grown = std::bit_width(static_cast<std::uint64_t>(divisor) - 1);
  const bool shifts = std::has_single_bit(static_cast<std::uint64_t>(divisor));
  const int most = (shifts ? 31 : 24) - grown;
  if (most < 4) return false;
  input = graph.exact(input);
  if (graph.value(input).bits > most && !graph.careless())
    input = graph.quantize(input, static_cast<int>(random.between(2, std::min(most, 10))),
                           random.chance(50));
  GraphValue out = graph.value(input);
  out.shape = *shape;
  out.bits += grown;
  if (shifts) {
    out.lowest_decimal += grown;
    out.highest_decimal += grown;
    out.kind = out.bits <= 16 ? ValueKind::kCodes : ValueKind::kSums;
  } else {
    out.kind = ValueKind::kReal;
    out.rises = out.monotone = out.keeps_zero = true;
    out.uniform = out.spread() == 0;
    out.masked = out.only_bias = false;
  }
  graph.add(std::string(op), input, attributes, std::move(out));
  return true;
}

}  // namespace lockstep::test
