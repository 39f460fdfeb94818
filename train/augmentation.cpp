#include "train/augmentation.h"

#include <fmt/format.h>

#include <algorithm>

#include "compile/support/error.h"
#include "train/datasets/random.h"

namespace lockstep::train {
namespace {

// A rectangle of an image's rows and columns, all planes of it.
struct Extent {
  std::int64_t height, width;
};

// Where a changed image's pixel comes from.
struct Move {
  bool mirrored;
  std::int64_t shift_y, shift_x, crop_y, crop_x;
};

// Of what an input is fed with: codes, or bytes.
std::int64_t lowest_code(const GraphInput& input) {
  return input.raw ? 0 : -(std::int64_t{1} << (input.bits - 1));
}
std::int64_t highest_code(const GraphInput& input) {
  return input.raw ? 255 : (std::int64_t{1} << (input.bits - 1)) - 1;
}

// -most .. most
std::int64_t offset(Random& random, std::int64_t most) { return random.below(2 * most + 1) - most; }

std::int16_t moved_pixel(std::span<const std::int16_t> plane, const Extent& extent,
                         const Move& move, std::int64_t y, std::int64_t x, std::int16_t fill) {
  y += move.crop_y;
  x += move.crop_x;
  if (y < 0 || y >= extent.height || x < 0 || x >= extent.width) return fill;
  y = std::clamp<std::int64_t>(y + move.shift_y, 0, extent.height - 1);
  x = std::clamp<std::int64_t>(x + move.shift_x, 0, extent.width - 1);
  if (move.mirrored) x = extent.width - 1 - x;
  return plane[static_cast<std::size_t>(y * extent.width + x)];
}

}  // namespace

void require_augmentable(const AugmentationSpec& spec, const GraphInput& input) {
  if (spec.is_off()) return;
  if (input.shape.size() != 3)
    throw InputError(fmt::format(
        "augmentation: input '{}' has {} dimensions, but images have the shape [C, H, W]",
        input.name, input.shape.size()));
  const std::int64_t size = std::min(input.shape[1], input.shape[2]);
  const auto below_size = [&](const char* name, std::int64_t value) {
    if (value >= size)
      throw InputError(fmt::format("augmentation: {} = {}, but images of {}x{} allow 0 to {}", name,
                                   value, input.shape[1], input.shape[2], size - 1));
  };
  below_size("shift", spec.shift);
  below_size("crop_padding", spec.crop_padding);
  const std::int64_t lo = lowest_code(input), hi = highest_code(input);
  if (spec.fill && (*spec.fill < lo || *spec.fill > hi))
    throw InputError(fmt::format("augmentation: fill = {}, but the {} of input '{}' are {} to {}",
                                 *spec.fill, input.raw ? "bytes" : "codes", input.name, lo, hi));
}

void augment(const AugmentationSpec& spec, const GraphInput& input, Random random,
             std::span<const std::int16_t> image, std::span<std::int16_t> target) {
  LOCKSTEP_ASSERT(input.shape.size() == 3 && image.size() == target.size());
  const Extent extent = {input.shape[1], input.shape[2]};
  const auto plane_size = static_cast<std::size_t>(extent.height * extent.width);
  const auto fill = static_cast<std::int16_t>(spec.fill.value_or(lowest_code(input)));
  // 2^53 evenly spaced numbers in [0, 1): 1 is above all of them.
  Move move{};
  move.mirrored = static_cast<double>(random.next() >> 11) * 0x1p-53 < spec.flip;
  move.shift_y = offset(random, spec.shift);
  move.shift_x = offset(random, spec.shift);
  move.crop_y = offset(random, spec.crop_padding);
  move.crop_x = offset(random, spec.crop_padding);
  std::size_t written = 0;
  for (std::size_t begin = 0; begin < image.size(); begin += plane_size)
    for (std::int64_t y = 0; y < extent.height; ++y)
      for (std::int64_t x = 0; x < extent.width; ++x)
        target[written++] = moved_pixel(image.subspan(begin, plane_size), extent, move, y, x, fill);
}

}  // namespace lockstep::train
