// What several operators share: shapes, windows and masks.
#include "verify/semantics/operators.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "compile/support/error.h"

namespace lockstep::verify {
namespace {

constexpr std::int64_t kMostElements = std::int64_t{1} << 28;

}  // namespace

std::int64_t Format::element_count() const {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;
  return count;
}

std::vector<int> channel_decimals(const Format& format, const std::string& layer) {
  const std::int64_t channels = format.shape.at(0);
  const std::int64_t plane = format.element_count() / channels;
  std::vector<int> result;
  for (std::int64_t c = 0; c < channels; ++c) {
    result.push_back(format.decimal(c * plane));
    for (std::int64_t i = 1; i < plane; ++i)
      if (format.decimal(c * plane + i) != result.back())
        throw InputError(
            fmt::format("layer '{}': the decimals of its input vary inside channel {} ({} and {}); "
                        "they must be the same "
                        "within a channel",
                        layer, c, result.back(), format.decimal(c * plane + i)));
  }
  return result;
}

HeightWidth height_width(const Node& node, std::string_view attribute) {
  const std::vector<std::int64_t>& values = node.integers(attribute);
  LOCKSTEP_ASSERT(values.size() == 1 || values.size() == 2);
  return {values.front(), values.back()};
}

SlidingWindow sliding_window(const Node& node) {
  return {.kernel = height_width(node, "kernel_size"),
          .stride = height_width(node, "stride"),
          .padding = height_width(node, "padding"),
          .dilation = height_width(node, "dilation"),
          .ceil_mode = node.attributes.contains("ceil_mode") && node.flag("ceil_mode")};
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

void require_countable(const std::string& layer, std::span<const std::int64_t> shape) {
  std::int64_t left = kMostElements;  // divided, because a product could overflow
  for (const std::int64_t extent : shape) left = extent > 0 ? left / extent : left;
  if (left == 0)
    throw InputError(fmt::format("layer '{}': shape {} has too many elements; at most 2^28 allowed",
                                 layer, shape_text(shape)));
}

std::string shape_text(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
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

}  // namespace lockstep::verify
