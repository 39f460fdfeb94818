// Images and labels in two .npy files.
#include <fmt/format.h>

#include <algorithm>

#include "compile/support/error.h"
#include "compile/support/input_codes.h"
#include "compile/support/npy.h"
#include "train/datasets/common.h"
#include "train/datasets/dataset.h"

namespace lockstep::datasets {
namespace {

// Images fit an input of at most 16 bits, or of bytes, so their codes do.
std::vector<std::int16_t> to_codes(const std::string& file, const AnyNpyArray& array,
                                   const GraphInput& input) {
  const std::vector<std::int64_t>& shape = std::visit(
      [](const auto& any) -> const auto& { return any.shape; }, array);
  if (shape.size() < 2)
    throw InputError(
        fmt::format("{}: images need 2 dimensions or more, found {}", file, shape.size()));
  require_fitting_shape(file, std::span(shape).subspan(1), input);
  const std::vector<std::int32_t> codes =
      input_codes(file, array,
                  {.name = input.name,
                   .bits = input.raw ? 8 : static_cast<int>(input.bits),
                   .bytes = input.raw.has_value(),
                   .decimals = {input.raw ? 0 : static_cast<int>(input.decimal)},
                   .elements_per_channel = 1});
  return {codes.begin(), codes.end()};
}

std::vector<std::int32_t> to_labels(const std::string& file, const AnyNpyArray& any,
                                    std::int64_t classes) {
  const auto* const array = std::get_if<NpyArray<std::int64_t>>(&any);
  if (array == nullptr)
    throw InputError(fmt::format("{}: labels must be integers, found float32", file));
  if (array->shape.size() != 1)
    throw InputError(
        fmt::format("{}: labels need 1 dimension, found {}", file, array->shape.size()));
  std::vector<std::int32_t> labels;
  labels.reserve(array->values.size());
  for (std::size_t i = 0; i < array->values.size(); ++i) {
    require_label(file, static_cast<std::int64_t>(i), array->values[i], classes);
    labels.push_back(static_cast<std::int32_t>(array->values[i]));
  }
  return labels;
}

}  // namespace

Dataset load_npy(const std::string& images, const std::string& labels, const GraphInput& input,
                 const LoadOptions& options) {
  std::vector<std::int16_t> codes = to_codes(images, read_npy(images), input);
  const std::vector<std::int32_t> all_labels = to_labels(labels, read_npy(labels), options.classes);
  const std::int64_t size = element_count(input.shape);
  const auto count = static_cast<std::int64_t>(codes.size()) / size;
  if (count != static_cast<std::int64_t>(all_labels.size()))
    throw InputError(fmt::format("{}: {} labels, but {} has {} images", labels, all_labels.size(),
                                 images, count));
  if (count < 2)
    throw InputError(
        fmt::format("{}: {} images; a training and a test part need 2 or more", images, count));
  const std::int64_t kept = count - std::max<std::int64_t>(1, count / 6);
  Dataset dataset;
  dataset.test.codes.assign(codes.begin() + kept * size, codes.end());
  dataset.test.labels.assign(all_labels.begin() + kept, all_labels.end());
  if (options.test_only) return dataset;
  codes.resize(static_cast<std::size_t>(kept * size));
  dataset.train.codes = std::move(codes);
  dataset.train.labels.assign(all_labels.begin(), all_labels.begin() + kept);
  return dataset;
}

}  // namespace lockstep::datasets
