// The IDX format of the MNIST database, plain or gzip: two zero bytes, a type byte, the number of
// dimensions, each dimension as a big-endian 32-bit integer, then the bytes.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <memory>

#include "compile/support/error.h"
#include "train/datasets/byte_stream.h"
#include "train/datasets/common.h"
#include "train/datasets/dataset.h"

namespace lockstep::datasets {
namespace {

namespace fs = std::filesystem;

// An IDX file of unsigned bytes, at the first of them.
class IdxFile {
 public:
  IdxFile(const fs::path& path, std::size_t rank) : name_(path.string()), stream_(path) {
    std::array<unsigned char, 4> word{};
    stream_.read(word.data(), word.size());
    if (word[0] != 0 || word[1] != 0 || word[2] != 8 || word[3] != rank)
      throw InputError(
          fmt::format("{}: magic number {:02x}{:02x}{:02x}{:02x}, expected 000008{:02x} "
                      "(IDX, unsigned bytes, {} dimensions)",
                      name_, word[0], word[1], word[2], word[3], rank, rank));
    std::int64_t total = 1;
    for (std::size_t d = 0; d < rank; ++d) {
      stream_.read(word.data(), word.size());
      const std::int64_t size =
          (std::int64_t{word[0]} << 24) | (word[1] << 16) | (word[2] << 8) | word[3];
      constexpr std::int64_t kMostBytes = std::int64_t{4} << 30;
      if (size == 0 || size > kMostBytes / total)
        throw InputError(fmt::format(
            "{}: dimension {} is {}, which makes no data or more than 4 GiB", name_, d, size));
      total *= size;
      dims_.push_back(size);
    }
  }

  const std::string& name() const { return name_; }
  std::int64_t count() const { return dims_[0]; }
  std::span<const std::int64_t> item_shape() const { return std::span(dims_).subspan(1); }
  std::int64_t item_size() const { return element_count(item_shape()); }

  // The next `size` bytes, in pieces, to `take`.
  void read(std::int64_t size, const std::function<void(std::span<const unsigned char>)>& take) {
    std::array<unsigned char, kPiece> piece;
    while (size > 0) {
      const auto count = static_cast<std::size_t>(std::min<std::int64_t>(size, kPiece));
      stream_.read(piece.data(), count);
      take({piece.data(), count});
      size -= static_cast<std::int64_t>(count);
    }
  }
  // InputError when anything follows.
  void expect_end() { stream_.expect_end(); }

 private:
  static constexpr std::size_t kPiece = 1 << 12;

  std::string name_;
  ByteStream stream_;
  std::vector<std::int64_t> dims_;
};

fs::path find_file(const fs::path& folder, const std::string& name) {
  for (const char* const suffix : {".gz", ""})
    if (fs::exists(folder / (name + suffix))) return folder / (name + suffix);
  throw InputError(
      fmt::format("{}: not found, neither with nor without .gz", (folder / name).string()));
}

// The code of every byte p: Q((p - 128) / 128), in integers; of a raw input p itself.
std::array<std::int16_t, 256> code_table(const GraphInput& input) {
  std::array<std::int16_t, 256> table{};
  if (input.raw) {
    for (std::int16_t p = 0; p < 256; ++p) table[static_cast<std::size_t>(p)] = p;
    return table;
  }
  const std::int64_t hi = (std::int64_t{1} << (input.bits - 1)) - 1, lo = -hi - 1;
  for (std::int64_t p = 0; p < 256; ++p) {
    std::int64_t code = p - 128;
    for (std::int64_t d = 7; d < input.decimal && code > lo && code < hi; ++d) code *= 2;
    for (std::int64_t d = input.decimal; d < 7 && code != 0; ++d) code /= 2;  // toward zero
    table[static_cast<std::size_t>(p)] = static_cast<std::int16_t>(std::clamp(code, lo, hi));
  }
  return table;
}

// One part of a data set, read from its beginning whenever an earlier image is asked for.
class IdxImages : public ImageSource {
 public:
  IdxImages(const fs::path& folder, const std::string& part, const GraphInput& input,
            const LoadOptions& options)
      : path_(find_file(folder, part + "-images-idx3-ubyte")), codes_(code_table(input)) {
    open();
    const std::array<std::int64_t, 3> shape = {1, file_->item_shape()[0], file_->item_shape()[1]};
    require_fitting_shape(file_->name(), shape, input);
    const std::int64_t count = file_->count();

    IdxFile labels(find_file(folder, part + "-labels-idx1-ubyte"), 1);
    if (labels.count() != count)
      throw InputError(fmt::format("{}: {} labels, but {} has {} images", labels.name(),
                                   labels.count(), file_->name(), count));
    // All of it is looked at before anything is made of it.
    take(0, count, [](std::int16_t) {});
    labels.read(count, [&](std::span<const unsigned char> bytes) {
      labels_.insert(labels_.end(), bytes.begin(), bytes.end());
    });
    labels.expect_end();
    for (std::int64_t i = 0; i < count; ++i)
      require_label(labels.name(), i, labels_[static_cast<std::size_t>(i)], options.classes);
  }

  std::span<const std::int32_t> labels() const override { return labels_; }

  std::vector<std::int16_t> take(std::int64_t first, std::int64_t count) override {
    std::vector<std::int16_t> codes;
    // Grown in steps: a header may promise more than the file holds.
    codes.reserve(static_cast<std::size_t>(
        std::min<std::int64_t>(count * file_->item_size(), std::int64_t{64} << 20)));
    take(first, count, [&](std::int16_t code) { codes.push_back(code); });
    return codes;
  }

 private:
  void open() {
    file_ = std::make_unique<IdxFile>(path_, 3);
    next_ = 0;
  }

  template <typename Take>
  void take(std::int64_t first, std::int64_t count, const Take& take_code) {
    if (first < next_) open();
    file_->read((first - next_) * file_->item_size(), [](std::span<const unsigned char>) {});
    file_->read(count * file_->item_size(), [&](std::span<const unsigned char> bytes) {
      for (const unsigned char p : bytes) take_code(codes_[p]);
    });
    next_ = first + count;
    if (next_ == file_->count()) file_->expect_end();
  }

  fs::path path_;
  std::array<std::int16_t, 256> codes_;
  std::vector<std::int32_t> labels_;
  std::unique_ptr<IdxFile> file_;
  std::int64_t next_ = 0;  // the image at which it is
};

void require_folder(const std::string& folder) {
  if (!fs::is_directory(folder)) throw InputError(fmt::format("{}: no such folder", folder));
}

}  // namespace

Dataset load_idx(const std::string& folder, const GraphInput& input, const LoadOptions& options) {
  require_folder(folder);
  Dataset dataset;
  if (!options.test_only) dataset.train = all_images(IdxImages(folder, "train", input, options));
  dataset.test = all_images(IdxImages(folder, "t10k", input, options));
  return dataset;
}

std::unique_ptr<ImageSource> open_idx_test_part(const std::string& folder, const GraphInput& input,
                                                const LoadOptions& options) {
  require_folder(folder);
  return std::make_unique<IdxImages>(folder, "t10k", input, options);
}

}  // namespace lockstep::datasets
