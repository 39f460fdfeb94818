// What several operators share: windows and masks.
#include "verify/semantics/operators.h"

#include <fmt/format.h>

#include "compile/support/error.h"
#include "verify/semantics/index.h"

namespace lockstep::verify {
HeightWidth height_width(const Node& node, std::string_view attribute, std::int64_t neutral) {
  const std::vector<std::int64_t>& values = node.integers(attribute);
  LOCKSTEP_ASSERT(values.size() == 1 || values.size() == 2);
  if (values.size() == 1) return {neutral, values[0]};
  return {values[0], values[1]};
}

HeightWidth spatial_extent(const Node& node, std::span<const std::int64_t> shape,
                           std::size_t spatial_axes) {
  if (shape.size() != spatial_axes + 1)
    throw InputError(fmt::format("layer '{}': input of shape {}, but {} takes {}", node.name,
                                 shape_text(shape), node.op,
                                 spatial_axes == 1 ? "[C, L]" : "[C, H, W]"));
  return spatial_axes == 1 ? HeightWidth{1, shape[1]} : HeightWidth{shape[1], shape[2]};
}

SlidingWindow sliding_window(const Node& node) {
  const bool has_dilation = node.attributes.contains("dilation");
  return {.kernel = height_width(node, "kernel_size", 1),
          .stride = height_width(node, "stride", 1),
          .padding = height_width(node, "padding", 0),
          .dilation = has_dilation ? height_width(node, "dilation", 1) : HeightWidth{1, 1},
          .ceil_mode = node.attributes.contains("ceil_mode") && node.flag("ceil_mode"),
          .axes = node.integers("kernel_size").size()};
}

namespace {

std::int64_t sliding_extent(const Node& node, std::int64_t input, std::int64_t kernel,
                            std::int64_t stride, std::int64_t padding, std::int64_t dilation,
                            bool ceil_mode) {
  const std::int64_t span = dilation * (kernel - 1) + 1;
  const std::int64_t room = input + 2 * padding - span;
  if (room < 0)
    throw InputError(
        fmt::format("layer '{}': its window spans {} positions, but the padded input has {}",
                    node.name, span, input + 2 * padding));
  const std::int64_t floor_extent = room / stride + 1;
  const bool one_more = ceil_mode && room % stride != 0 && floor_extent * stride < input + padding;
  return floor_extent + (one_more ? 1 : 0);
}

}  // namespace

HeightWidth output_extent(const Node& node, const SlidingWindow& window, HeightWidth input) {
  return {sliding_extent(node, input.height, window.kernel.height, window.stride.height,
                         window.padding.height, window.dilation.height, window.ceil_mode),
          sliding_extent(node, input.width, window.kernel.width, window.stride.width,
                         window.padding.width, window.dilation.width, window.ceil_mode)};
}

std::vector<std::uint8_t> spread_mask(const MaskParameters& mask,
                                      std::span<const std::int64_t> shape,
                                      const std::string& layer) {
  bool fits = mask.shape.size() == shape.size();
  for (std::size_t d = 0; fits && d < shape.size(); ++d)
    fits = mask.shape[d] == shape[d] || mask.shape[d] == 1;
  if (!fits)
    throw InputError(fmt::format("layer '{}': mask of shape {} on a tensor of shape {}", layer,
                                 shape_text(mask.shape), shape_text(shape)));
  std::size_t count = 1;
  for (const std::int64_t extent : shape) count *= static_cast<std::size_t>(extent);
  std::vector<std::uint8_t> result(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::size_t rest = i, source = 0, stride = 1;
    for (std::size_t d = shape.size(); d-- > 0;) {
      const std::size_t index = rest % static_cast<std::size_t>(shape[d]);
      rest /= static_cast<std::size_t>(shape[d]);
      if (mask.shape[d] != 1) source += index * stride;
      stride *= static_cast<std::size_t>(mask.shape[d]);
    }
    result[i] = mask.keep[source];
  }
  return result;
}

std::vector<std::uint8_t> prune_mask(const Node& node, const MaskParameters& mask,
                                     std::span<const std::int64_t> shape) {
  if (!node.prune || node.prune->strict) return spread_mask(mask, shape, node.name);
  if (mask.shape.size() != shape.size())
    throw InputError(fmt::format("layer '{}': mask of shape {} on a tensor of shape {}", node.name,
                                 shape_text(mask.shape), shape_text(shape)));
  // Along each axis as many whole masks as fit, in the middle.
  std::vector<std::int64_t> covered, first;
  std::size_t count = 1;
  bool fits = true;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    covered.push_back(shape[d] / mask.shape[d] * mask.shape[d]);
    first.push_back((shape[d] - covered[d]) / 2);
    fits = fits && covered[d] > 0;
    count *= at(shape[d]);
  }
  std::vector<std::uint8_t> result(count, 1);
  for (std::size_t i = 0; fits && i < count; ++i) {
    auto rest = static_cast<std::int64_t>(i);
    std::int64_t source = 0, stride = 1;
    bool inside = true;
    for (std::size_t d = shape.size(); d-- > 0;) {
      const std::int64_t index = rest % shape[d] - first[d];
      rest /= shape[d];
      inside = inside && index >= 0 && index < covered[d];
      if (!inside) break;
      source += index % mask.shape[d] * stride;
      stride *= mask.shape[d];
    }
    if (inside) result[i] = mask.keep[at(source)];
  }
  return result;
}

}  // namespace lockstep::verify
