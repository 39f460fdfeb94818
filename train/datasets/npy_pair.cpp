// Images and labels in two .npy files.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compile/support/error.h"
#include "compile/support/npy.h"
#include "train/datasets/common.h"
#include "train/datasets/dataset.h"

namespace lockstep::datasets {
namespace {

using Limits = std::pair<std::int64_t, std::int64_t>;

Limits code_limits(const GraphInput& input) {
  const std::int64_t hi = (std::int64_t{1} << (input.bits - 1)) - 1;
  return {-hi - 1, hi};
}

std::int16_t to_code(const std::string& file, std::size_t index, float x, const GraphInput& input) {
  if (!std::isfinite(x))
    throw InputError(fmt::format("{}: element {} is {}, not a finite number", file, index, x));
  const auto [lo, hi] = code_limits(input);
  const double code =
      std::trunc(std::ldexp(static_cast<double>(x), static_cast<int>(input.decimal)));
  return static_cast<std::int16_t>(
      std::clamp(code, static_cast<double>(lo), static_cast<double>(hi)));
}

std::int16_t to_code(const std::string& file, std::size_t index, std::int64_t code,
                     const GraphInput& input) {
  const auto [lo, hi] = code_limits(input);
  if (code < lo || code > hi)
    throw InputError(
        fmt::format("{}: element {} is {}, outside the codes {} to {} of input '{}' "
                    "(subtract 128 from unsigned pixels)",
                    file, index, code, lo, hi, input.name));
  return static_cast<std::int16_t>(code);
}

template <typename T>
std::vector<std::int16_t> to_codes(const std::string& file, const NpyArray<T>& array,
                                   const GraphInput& input) {
  if (array.shape.size() < 2)
    throw InputError(
        fmt::format("{}: images need 2 dimensions or more, found {}", file, array.shape.size()));
  require_fitting_shape(file, std::span(array.shape).subspan(1), input);
  std::vector<std::int16_t> codes;
  codes.reserve(array.values.size());
  for (std::size_t i = 0; i < array.values.size(); ++i)
    codes.push_back(to_code(file, i, array.values[i], input));
  return codes;
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
  std::vector<std::int16_t> codes = std::visit(
      [&](const auto& array) { return to_codes(images, array, input); }, read_npy(images));
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
