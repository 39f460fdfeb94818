// Random changes of images: what each does, pixel by pixel, and that the seed alone decides.
#include "train/augmentation.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "tests/support/input_error.h"
#include "train/datasets/random.h"

using namespace lockstep::train;
using lockstep::GraphInput;
using lockstep::test::contains;
using lockstep::test::input_error_of;

namespace {

using Codes = std::vector<std::int16_t>;

GraphInput input_of(std::vector<std::int64_t> shape) {
  return {.name = "input", .shape = std::move(shape), .bits = 8, .decimal = 7};
}

Codes augmented(const AugmentationSpec& spec, const GraphInput& input, std::uint64_t seed,
                const Codes& image) {
  Codes target(image.size());
  augment(spec, input, Random(seed), image, target);
  return target;
}

// 1, 2, 3, ...: every pixel is different.
Codes numbered(std::size_t count) {
  Codes codes(count);
  for (std::size_t i = 0; i < count; ++i) codes[i] = static_cast<std::int16_t>(i + 1);
  return codes;
}

// The image moved by (dy, dx); pixels from outside are `fill`, or the nearest edge pixel.
Codes moved(const Codes& image, std::int64_t height, std::int64_t width, std::int64_t dy,
            std::int64_t dx, std::optional<std::int16_t> fill) {
  Codes result;
  for (std::int64_t y = dy; y < height + dy; ++y)
    for (std::int64_t x = dx; x < width + dx; ++x) {
      const std::int64_t cy = std::clamp<std::int64_t>(y, 0, height - 1),
                         cx = std::clamp<std::int64_t>(x, 0, width - 1);
      const bool inside = cy == y && cx == x;
      result.push_back(inside || !fill ? image[static_cast<std::size_t>(cy * width + cx)] : *fill);
    }
  return result;
}

// Over many seeds: every result is one of `allowed`, and each of those occurs.
void check_outcomes(const AugmentationSpec& spec, const GraphInput& input, const Codes& image,
                    const std::vector<Codes>& allowed) {
  const std::set<Codes> expected(allowed.begin(), allowed.end());
  std::set<Codes> found;
  for (std::uint64_t seed = 0; seed < 2000; ++seed)
    found.insert(augmented(spec, input, seed, image));
  CHECK(found == expected);
}

}  // namespace

TEST_CASE("nothing asked for, nothing changed") {
  const Codes image = numbered(24);
  CHECK(AugmentationSpec().is_off());
  CHECK(augmented({}, input_of({2, 3, 4}), 5, image) == image);
}

TEST_CASE("a flip mirrors the columns of every plane, as often as asked") {
  const Codes image = {1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16};
  const Codes mirrored = {3, 2, 1, 6, 5, 4, 13, 12, 11, 16, 15, 14};
  const GraphInput input = input_of({2, 2, 3});
  CHECK(augmented({.flip = 1.0}, input, 9, image) == mirrored);
  int flips = 0;
  for (std::uint64_t seed = 0; seed < 10000; ++seed)
    flips += augmented({.flip = 0.25}, input, seed, image) == mirrored ? 1 : 0;
  CHECK(flips > 2300);
  CHECK(flips < 2700);
}

TEST_CASE("a shift moves by up to its size in both directions and repeats the edge") {
  const Codes image = numbered(12);
  std::vector<Codes> allowed;
  for (std::int64_t dy = -2; dy <= 2; ++dy)
    for (std::int64_t dx = -2; dx <= 2; ++dx)
      allowed.push_back(moved(image, 3, 4, dy, dx, std::nullopt));
  check_outcomes({.shift = 2}, input_of({1, 3, 4}), image, allowed);
}

TEST_CASE("a crop is cut from an image with a border of the fill, the lowest code by default") {
  const Codes image = numbered(12);
  const auto allowed = [&](std::int16_t fill) {
    std::vector<Codes> images;
    for (std::int64_t dy = -1; dy <= 1; ++dy)
      for (std::int64_t dx = -1; dx <= 1; ++dx) images.push_back(moved(image, 4, 3, dy, dx, fill));
    return images;
  };
  check_outcomes({.crop_padding = 1}, input_of({1, 4, 3}), image, allowed(-128));
  check_outcomes({.crop_padding = 1, .fill = 77}, input_of({1, 4, 3}), image, allowed(77));
}

TEST_CASE("all together: crop of shift of mirror, the same move for every plane") {
  const Codes plane = numbered(9);
  Codes image = plane, mirrored = {3, 2, 1, 6, 5, 4, 9, 8, 7};
  for (const std::int16_t code : plane) image.push_back(static_cast<std::int16_t>(code + 100));
  std::vector<Codes> allowed;
  for (const Codes& start : {plane, mirrored})
    for (std::int64_t sy = -1; sy <= 1; ++sy)
      for (std::int64_t sx = -1; sx <= 1; ++sx)
        for (std::int64_t cy = -1; cy <= 1; ++cy)
          for (std::int64_t cx = -1; cx <= 1; ++cx) {
            Codes first = moved(moved(start, 3, 3, sy, sx, std::nullopt), 3, 3, cy, cx, 0);
            for (std::size_t i = 0; i < 9; ++i)
              first.push_back(static_cast<std::int16_t>(first[i] == 0 ? 0 : first[i] + 100));
            allowed.push_back(first);
          }
  check_outcomes({.flip = 0.5, .shift = 1, .crop_padding = 1, .fill = 0}, input_of({2, 3, 3}),
                 image, allowed);
}

TEST_CASE("the random numbers alone decide what happens") {
  const AugmentationSpec spec = {.flip = 0.5, .shift = 2, .crop_padding = 2};
  const GraphInput input = input_of({1, 8, 8});
  const Codes image = numbered(64);
  CHECK(augmented(spec, input, 3, image) == augmented(spec, input, 3, image));
  CHECK(augmented(spec, input, 3, image) != augmented(spec, input, 4, image));
}

TEST_CASE("what does not fit the input is refused") {
  const auto error = [](const AugmentationSpec& spec, std::vector<std::int64_t> shape) {
    return input_error_of([&] { require_augmentable(spec, input_of(std::move(shape))); });
  };
  CHECK(error({}, {16}) == "(no error)");
  CHECK(error({.shift = 2}, {1, 3, 3}) == "(no error)");
  CHECK(contains(error({.flip = 0.5}, {3, 16}), "input 'input' has 2 dimensions"));
  CHECK(contains(error({.shift = 3}, {1, 3, 9}), "shift = 3, but images of 3x9 allow 0 to 2"));
  CHECK(contains(error({.crop_padding = 9}, {1, 9, 9}), "crop_padding = 9, but images of 9x9"));
  CHECK(contains(error({.crop_padding = 1, .fill = 128}, {1, 9, 9}),
                 "fill = 128, but the codes of input 'input' are -128 to 127"));
}

TEST_CASE("around an image of raw bytes lies byte 0, or a fill that is a byte") {
  GraphInput input = input_of({1, 3, 3});
  input.raw.emplace();
  input.bits = 4;
  const Codes image(9, 200);
  std::set<std::int16_t> seen;
  for (std::uint64_t seed = 0; seed < 20; ++seed)
    for (const std::int16_t byte : augmented({.crop_padding = 2}, input, seed, image))
      seen.insert(byte);
  CHECK(seen == std::set<std::int16_t>{0, 200});
  const auto error = [&](std::int64_t fill) {
    return input_error_of([&] { require_augmentable({.crop_padding = 1, .fill = fill}, input); });
  };
  CHECK(error(255) == "(no error)");
  CHECK(contains(error(256), "fill = 256, but the bytes of input 'input' are 0 to 255"));
  CHECK(contains(error(-1), "fill = -1"));
}
