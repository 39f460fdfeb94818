// Max pooling compares codes, and codes of one channel share one grid, so it is exact as it stands.
// ceil_mode needs no mode of its own: its last windows are those of a larger trailing padding.
#include <fmt/format.h>

#include <algorithm>

#include "compile/ops/window.h"
#include "intrt/plan_format.h"

namespace lockstep::ops {
namespace {

// The largest value is that of the largest integer, as long as no function in between ever falls.
void require_order(const Lowering& lowering) {
  if (!lowering.input().pending) return;
  const Pending& pending = *lowering.input().pending;
  const auto refuse = [&](const std::string& why) {
    lowering.refuse(
        fmt::format("its input '{}' is not quantized ({}); put a quantize node before this layer",
                    lowering.node().inputs.at(0), why));
  };
  if (!pending.mask.empty()) refuse("a prune node acts on it");
  if (pending.filled) refuse("a pad filled it with zeros");
  for (std::size_t c = 0; c < pending.chains.size(); ++c)
    if (direction(pending.chains[c]) != Direction::kNeverFalls)
      refuse(
          fmt::format("what '{}' and the layers after it compute falls in channel {}, so the "
                      "largest value does not come from the largest integer",
                      pending.origin, c));
}

}  // namespace

NodeValue lower_max_pool(Lowering& lowering) {
  require_order(lowering);
  const std::array<PoolAxis, 2> axes = pool_axes(lowering);
  const ir::Value input = lowering.value();
  ir::Window window;
  ir::Shape shape = input.shape;
  for (const std::size_t a : {0, 1}) {
    const PoolAxis& axis = axes[a];
    if (axis.padding > 0 && axis.dilation > axis.size)
      lowering.refuse(
          fmt::format("dilation {} with padding leaves windows that hold no position of an input "
                      "of size {}",
                      axis.dilation, axis.size));
    constexpr std::int64_t kMostPadding = INTRT_MAX_DIM;
    const std::int64_t end = (axis.positions - 1) * axis.stride + axis.reach();
    if (end - axis.size - axis.padding > kMostPadding)
      lowering.refuse(
          fmt::format("its last window ends {} positions behind its input, but at most "
                      "{} are supported",
                      end - axis.size - axis.padding, kMostPadding));
    window.kernel[a] = axis.kernel;
    window.stride[a] = axis.stride;
    window.dilation[a] = axis.dilation;
    window.pad[a] = axis.padding;
    window.pad[a + 2] = std::max(
        axis.padding, (axis.positions - 1) * axis.stride + axis.reach() - axis.size - axis.padding);
    (a == 0 ? shape.h : shape.w) = axis.positions;
  }
  NodeValue result = lowering.input();
  result.id = lowering.emit(
      ir::MaxPool2d{window}, {result.id},
      {.shape = shape, .bits = input.bits, .decimals = input.decimals, .exact = !result.pending});
  return result;
}

}  // namespace lockstep::ops
