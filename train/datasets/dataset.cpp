#include "train/datasets/dataset.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <optional>
#include <string_view>

#include "compile/support/error.h"
#include "train/datasets/common.h"

namespace lockstep::datasets {
namespace {

constexpr const char* kFashionMnistFolder = "/usr/share/datasets/fashion-mnist";

std::vector<std::int64_t> without_ones(std::span<const std::int64_t> shape) {
  std::vector<std::int64_t> kept(shape.begin(), shape.end());
  std::erase(kept, 1);
  return kept;
}

// The folder of a source of IDX files; nothing for another kind. InputError where the data set is
// not installed.
std::optional<std::string> idx_folder(const std::string& source) {
  if (source.starts_with("idx:") && source.size() > 4) return source.substr(4);
  if (source != "fashion-mnist") return std::nullopt;
  if (!std::filesystem::is_directory(kFashionMnistFolder))
    throw InputError(
        fmt::format("{}: not found; install the data set: apt install "
                    "dataset-fashion-mnist",
                    kFashionMnistFolder));
  return kFashionMnistFolder;
}

class HeldImages : public ImageSource {
 public:
  explicit HeldImages(Images images) : images_(std::move(images)) {}
  std::span<const std::int32_t> labels() const override { return images_.labels; }
  std::vector<std::int16_t> take(std::int64_t first, std::int64_t count) override {
    const std::int64_t size =
        std::ssize(images_.codes) / std::max<std::int64_t>(images_.count(), 1);
    const auto begin = images_.codes.begin() + first * size;
    return {begin, begin + count * size};
  }

 private:
  Images images_;
};

Dataset load(const std::string& source, const GraphInput& input, const LoadOptions& options) {
  if (const std::optional<std::string> folder = idx_folder(source))
    return load_idx(*folder, input, options);
  if (source == "synthetic") return generate_synthetic(input, options);
  if (source.starts_with("npy:")) {
    const std::size_t comma = source.find(',');
    if (comma != std::string::npos && comma > 4 && comma + 1 < source.size() &&
        source.find(',', comma + 1) == std::string::npos)
      return load_npy(source.substr(4, comma - 4), source.substr(comma + 1), input, options);
  }
  throw InputError(
      fmt::format("data '{}' is unknown; there are fashion-mnist, idx:DIR, npy:X.npy,Y.npy "
                  "and synthetic",
                  source));
}

}  // namespace

std::int64_t element_count(std::span<const std::int64_t> shape) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return count;
}

void require_countable(const std::string& what, std::span<const std::int64_t> shape) {
  std::int64_t room = std::numeric_limits<std::int64_t>::max();
  for (const std::int64_t size : shape) {
    if (size < 1 || size > room)
      throw InputError(fmt::format("{}: shape [{}] has {}", what, fmt::join(shape, ", "),
                                   size < 1 ? "a dimension below 1" : "too many elements"));
    room /= size;
  }
}

void require_fitting_shape(const std::string& file, std::span<const std::int64_t> found,
                           const GraphInput& input) {
  require_countable(file, found);
  const std::vector<std::int64_t> a = without_ones(found), b = without_ones(input.shape);
  const bool flat = (a.size() <= 1 || b.size() <= 1) && element_count(a) == element_count(b);
  if (a != b && !flat)
    throw InputError(fmt::format("{}: images of shape [{}] do not fit the input '{}' of shape [{}]",
                                 file, fmt::join(found, ", "), input.name,
                                 fmt::join(input.shape, ", ")));
}

void require_label(const std::string& file, std::int64_t index, std::int64_t label,
                   std::int64_t classes) {
  constexpr std::int64_t kMostClasses = 1 << 20;
  const std::int64_t end = classes > 0 ? classes : kMostClasses;
  if (label < 0 || label >= end)
    throw InputError(
        fmt::format("{}: label {} is {}, allowed are 0 to {}", file, index, label, end - 1));
}

std::int64_t count_classes(std::span<const std::int32_t> labels, std::int64_t classes) {
  for (const std::int32_t label : labels) classes = std::max<std::int64_t>(classes, label + 1);
  return classes;
}

Images all_images(ImageSource&& source) {
  return {.codes = source.take(0, source.count()),
          .labels = {source.labels().begin(), source.labels().end()}};
}

std::unique_ptr<ImageSource> open_test_part(const std::string& source, const GraphInput& input,
                                            const LoadOptions& options) {
  if (const std::optional<std::string> folder = idx_folder(source)) {
    require_countable(fmt::format("input '{}'", input.name), input.shape);
    return open_idx_test_part(*folder, input, options);
  }
  LoadOptions test_only = options;
  test_only.test_only = true;
  return std::make_unique<HeldImages>(load_dataset(source, input, test_only).test);
}

Dataset load_dataset(const std::string& source, const GraphInput& input,
                     const LoadOptions& options) {
  require_countable(fmt::format("input '{}'", input.name), input.shape);
  Dataset dataset = load(source, input, options);
  dataset.source = source;
  dataset.shape = input.shape;
  dataset.classes = std::max(count_classes(dataset.train.labels, options.classes),
                             count_classes(dataset.test.labels, options.classes));
  return dataset;
}

}  // namespace lockstep::datasets
