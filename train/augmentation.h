// Random changes of training images, on their input codes or raw bytes, so that every value stays
// one that the chip can see.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "compile/graph/graph.h"

namespace lockstep::train {

class Random;  // train/datasets/random.h

// In this order: mirror, shift, crop. Everything off by default.
struct AugmentationSpec {
  double flip = 0;         // probability of mirroring left and right, in [0, 1]
  std::int64_t shift = 0;  // moves by -shift .. shift rows and columns; the edge is repeated
  // Cuts the image at random from one that has this many more rows and columns on every side, all
  // of them `fill`.
  std::int64_t crop_padding = 0;
  std::optional<std::int64_t> fill = {};  // a code or byte; empty: the lowest, a black pixel
  bool is_off() const { return flip <= 0 && shift == 0 && crop_padding == 0; }
  bool operator==(const AugmentationSpec&) const = default;
};

// InputError unless the spec fits the input: an image of shape [C, H, W], H and W above shift and
// crop_padding, and a fill that the input can be fed with. An empty spec fits everything.
void require_augmentable(const AugmentationSpec& spec, const GraphInput& input);

// Writes the changed `image` to `target`, both row-major in the shape of an input that
// require_augmentable accepts. What happens follows from `random` alone.
void augment(const AugmentationSpec& spec, const GraphInput& input, Random random,
             std::span<const std::int16_t> image, std::span<std::int16_t> target);

}  // namespace lockstep::train
