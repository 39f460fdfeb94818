// Generated images: each class is a pattern of a few smooth blobs, each image its class's pattern,
// moved by up to one cell, plus noise. Integers only, so the data are the same on every machine.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "compile/support/error.h"
#include "train/datasets/common.h"
#include "train/datasets/dataset.h"
#include "train/datasets/random.h"

namespace lockstep::datasets {
namespace {

using train::mix_seed;
using train::Random;

constexpr std::int64_t kTrainImages = 3000, kTestImages = 600;
// Of one image: all of them together stay below 4 GiB.
constexpr std::int64_t kMostElements = (std::int64_t{1} << 31) / (kTrainImages + kTestImages);

// Any shape seen as planes of height x width.
struct Planes {
  std::int64_t planes = 1, height = 1, width = 1;
};

Planes planes_of(const std::vector<std::int64_t>& shape) {
  Planes p;
  if (!shape.empty()) p.width = shape.back();
  if (shape.size() >= 2) p.height = shape[shape.size() - 2];
  p.planes = element_count(shape) / (p.height * p.width);
  return p;
}

// Values from -100 to 100.
std::vector<std::int32_t> make_pattern(const Planes& p, Random& random) {
  std::vector<std::int32_t> pattern(static_cast<std::size_t>(p.planes * p.height * p.width), -60);
  const std::int64_t radius = std::max<std::int64_t>(1, std::max(p.height, p.width) / 6);
  for (std::int64_t plane = 0; plane < p.planes; ++plane) {
    for (int blob = 0; blob < 4; ++blob) {
      const std::int64_t cy = random.below(p.height), cx = random.below(p.width);
      for (std::int64_t y = 0; y < p.height; ++y) {
        for (std::int64_t x = 0; x < p.width; ++x) {
          const std::int64_t distance = (y - cy) * (y - cy) + (x - cx) * (x - cx);
          std::int32_t& value =
              pattern[static_cast<std::size_t>((plane * p.height + y) * p.width + x)];
          const auto add =
              static_cast<std::int32_t>(160 * radius * radius / (radius * radius + 2 * distance));
          value = std::min(100, value + add);
        }
      }
    }
  }
  return pattern;
}

// The codes of values from -128 to 127.
struct Coding {
  bool bytes;       // value + 128
  std::int32_t hi;  // else value * (hi + 1) / 128
  std::int16_t operator()(std::int32_t value) const {
    return static_cast<std::int16_t>(bytes ? value + 128
                                           : std::clamp(value * (hi + 1) / 128, -hi - 1, hi));
  }
};

Images make_images(const Planes& p, const std::vector<std::vector<std::int32_t>>& patterns,
                   std::int64_t count, const Coding& code, Random random) {
  Images images;
  images.codes.reserve(static_cast<std::size_t>(count * p.planes * p.height * p.width));
  for (std::int64_t i = 0; i < count; ++i) {
    const auto label = static_cast<std::int32_t>(i % static_cast<std::int64_t>(patterns.size()));
    images.labels.push_back(label);
    const std::vector<std::int32_t>& pattern = patterns[static_cast<std::size_t>(label)];
    const std::int64_t dy = random.below(3) - 1, dx = random.below(3) - 1;
    for (std::int64_t plane = 0; plane < p.planes; ++plane) {
      for (std::int64_t y = 0; y < p.height; ++y) {
        const std::int64_t source_y = std::clamp<std::int64_t>(y + dy, 0, p.height - 1);
        for (std::int64_t x = 0; x < p.width; ++x) {
          const std::int64_t source_x = std::clamp<std::int64_t>(x + dx, 0, p.width - 1);
          const std::int32_t base =
              pattern[static_cast<std::size_t>((plane * p.height + source_y) * p.width + source_x)];
          const auto noise = static_cast<std::int32_t>(random.below(81) - 40);
          images.codes.push_back(code(std::clamp(base + noise, -128, 127)));
        }
      }
    }
  }
  return images;
}

}  // namespace

Dataset generate_synthetic(const GraphInput& input, const LoadOptions& options) {
  LOCKSTEP_ASSERT(input.bits >= 2 && input.bits <= 16);
  if (element_count(input.shape) > kMostElements)
    throw InputError(
        fmt::format("input '{}': shape [{}] is too large for synthetic data, which "
                    "have at most {} values per image",
                    input.name, fmt::join(input.shape, ", "), kMostElements));
  const std::int64_t classes = options.classes > 0 ? options.classes : 10;
  const Planes planes = planes_of(input.shape);
  const Coding coding = {.bytes = input.raw.has_value(),
                         .hi = static_cast<std::int32_t>((1 << (input.bits - 1)) - 1)};
  Random pattern_random(mix_seed(options.seed, 1));
  std::vector<std::vector<std::int32_t>> patterns;
  for (std::int64_t c = 0; c < classes; ++c)
    patterns.push_back(make_pattern(planes, pattern_random));
  Dataset dataset;
  if (!options.test_only)
    dataset.train =
        make_images(planes, patterns, kTrainImages, coding, Random(mix_seed(options.seed, 2)));
  dataset.test =
      make_images(planes, patterns, kTestImages, coding, Random(mix_seed(options.seed, 3)));
  return dataset;
}

}  // namespace lockstep::datasets
