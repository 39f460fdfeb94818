// Means over windows: an exact sum, then a division. Windows of different sizes (at the border, or
// adaptive ones) are brought to one divisor by multiplying their sums. A divisor that is a power of
// two only moves the grid; any other one is a float function.
#include <fmt/format.h>

#include <bit>
#include <numeric>

#include "compile/ops/window.h"

namespace lockstep::ops {
namespace {

constexpr std::int64_t kMostDivisor = std::int64_t{1} << 24;
constexpr std::int64_t kMostSum = std::int64_t{1} << 24;

// The windows along one axis, by the number that each divides by.
struct Windows {
  std::vector<ir::PoolSpan> spans;
  std::vector<std::int64_t> counts;
};

// Brings all windows to the least common multiple of their counts, which is returned.
std::int64_t share_divisor(const Lowering& lowering, Windows& windows) {
  std::int64_t divisor = 1;
  for (const std::int64_t count : windows.counts) {
    divisor = std::lcm(divisor, count);
    if (divisor > kMostDivisor)
      lowering.refuse(
          fmt::format("its windows have so many different sizes that no common divisor below {} "
                      "exists; choose an output size that divides the input's",
                      kMostDivisor));
  }
  for (std::size_t i = 0; i < windows.spans.size(); ++i)
    windows.spans[i].multiplier = divisor / windows.counts[i];
  return divisor;
}

NodeValue emit_mean(Lowering& lowering, Windows rows, Windows columns) {
  lowering.require_exact();
  const ir::Value input = lowering.value();
  const std::int64_t divisor = share_divisor(lowering, rows) * share_divisor(lowering, columns);
  const bool shifts = std::has_single_bit(static_cast<std::uint64_t>(divisor));
  ir::AvgPool2d pool{.rows = std::move(rows.spans),
                     .columns = std::move(columns.spans),
                     .accumulators = {},
                     .post = {}};
  ir::Shape shape = input.shape;
  shape.h = static_cast<std::int64_t>(pool.rows.size());
  shape.w = static_cast<std::int64_t>(pool.columns.size());
  const std::int64_t magnitude = lowering.bounds(pool, {lowering.input().id}).front().magnitude;
  // The same in every channel. A float32 division needs a sum that float32 holds.
  const int bits = ir::bits_to_hold(-magnitude, magnitude);
  if (!shifts && magnitude > kMostSum)
    lowering.refuse(fmt::format(
        "its sums, brought to the common divisor {}, reach {}, but float32 divides at most {} "
        "exactly; let its input have fewer bits (a quantize node before it), or choose windows of "
        "one "
        "size with a power of two of positions",
        divisor, magnitude, kMostSum));
  if (bits > 32)
    lowering.refuse(fmt::format("its sums need {} bits, but accumulators have 32; {}", bits,
                                lowering.fitting_bits(bits - 32)));
  std::vector<int> decimals = input.decimals;
  if (shifts)
    for (int& decimal : decimals) decimal += std::countr_zero(static_cast<std::uint64_t>(divisor));
  if (bits <= ir::kMostCodeBits) pool.post.function = ir::identity_requantize(bits);
  NodeValue result{
      .id = lowering.emit(
          std::move(pool), {lowering.input().id},
          {.shape = shape, .bits = bits, .decimals = std::move(decimals), .exact = shifts}),
      .pending = {},
      .order_of = {}};
  if (shifts) return result;
  const FloatStep divide{
      .kind = FloatStep::Kind::kDivide, .a = static_cast<float>(divisor), .b = 0};
  result.pending = Pending{
      .chains = std::vector<FloatChain>(static_cast<std::size_t>(shape.c), FloatChain{divide}),
      .mask = {},
      .origin = lowering.node().name};
  return result;
}

Windows sliding(const PoolAxis& axis, bool count_include_pad) {
  Windows windows;
  for (std::int64_t i = 0; i < axis.positions; ++i) {
    const std::int64_t start = i * axis.stride - axis.padding;
    const std::int64_t end = std::min(start + axis.kernel, axis.size + axis.padding);
    const std::int64_t first = std::max<std::int64_t>(start, 0), last = std::min(end, axis.size);
    windows.spans.push_back({.begin = first, .end = last, .multiplier = 1});
    windows.counts.push_back(count_include_pad ? end - start : last - first);
  }
  return windows;
}

// Window i of n covers floor(i * size / n) to ceil((i + 1) * size / n).
Windows adaptive(std::int64_t size, std::int64_t n) {
  Windows windows;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t begin = i * size / n, end = ((i + 1) * size + n - 1) / n;
    windows.spans.push_back({.begin = begin, .end = end, .multiplier = 1});
    windows.counts.push_back(end - begin);
  }
  return windows;
}

}  // namespace

NodeValue lower_avg_pool(Lowering& lowering) {
  const std::array<PoolAxis, 2> axes = pool_axes(lowering);
  const bool with_padding = lowering.node().flag("count_include_pad");
  return emit_mean(lowering, sliding(axes[0], with_padding), sliding(axes[1], with_padding));
}

NodeValue lower_adaptive_avg_pool(Lowering& lowering) {
  const std::vector<std::int64_t>& output_size = lowering.node().integers("output_size");
  require_spatial(lowering, output_size.size());
  const ir::Shape& in = lowering.value().shape;
  const auto [height, width] = height_width(output_size, 1);
  return emit_mean(lowering, adaptive(in.h, height), adaptive(in.w, width));
}

}  // namespace lockstep::ops
