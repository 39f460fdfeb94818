// The IDX format of the MNIST database, plain or gzip: two zero bytes, a type byte, the number of
// dimensions, each dimension as a big-endian 32-bit integer, then the bytes.
// A file is inflated piece by piece; the images are never held twice.
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>

#include "compile/support/error.h"
#include "compile/support/files.h"
#include "train/datasets/common.h"
#include "train/datasets/dataset.h"

namespace lockstep::datasets {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kChunk = 1 << 16;

// Reads a file's contents in order, inflating them when the file starts as gzip does.
class ByteStream {
 public:
  explicit ByteStream(const fs::path& path) : path_(path), bytes_(read_file(path)) {
    const auto* const first = reinterpret_cast<const unsigned char*>(bytes_.data());
    gzip_ = bytes_.size() >= 2 && first[0] == 0x1f && first[1] == 0x8b;
    if (!gzip_) return;
    // 15: the largest window; + 16: gzip's header and checksum.
    LOCKSTEP_ASSERT(inflateInit2(&zlib_, 15 + 16) == Z_OK);
    zlib_.next_in = reinterpret_cast<unsigned char*>(bytes_.data());
    zlib_.avail_in = static_cast<unsigned>(bytes_.size());
  }
  ~ByteStream() {
    if (gzip_) inflateEnd(&zlib_);
  }
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  // Exactly `size` bytes; InputError when there are fewer.
  void read(unsigned char* target, std::size_t size) {
    const std::size_t got = gzip_ ? inflate_into(target, size) : copy_into(target, size);
    offset_ += got;
    if (got != size)
      throw InputError(fmt::format("{}: truncated: {} bytes of contents, more are needed",
                                   path_.string(), offset_));
  }

  // InputError when anything follows, and, for gzip, when the checksum is wrong.
  void expect_end() {
    unsigned char extra = 0;
    if ((gzip_ ? inflate_into(&extra, 1) : copy_into(&extra, 1)) != 0)
      throw InputError(
          fmt::format("{}: trailing bytes after {} bytes of contents", path_.string(), offset_));
    if (!gzip_) return;
    if (!ended_)
      throw InputError(fmt::format("{}: truncated: the gzip checksum is missing", path_.string()));
    if (zlib_.avail_in != 0)
      throw InputError(
          fmt::format("{}: {} trailing bytes after the gzip data", path_.string(), zlib_.avail_in));
  }

 private:
  std::size_t copy_into(unsigned char* target, std::size_t size) {
    const std::size_t count = std::min(size, bytes_.size() - position_);
    if (count > 0) std::memcpy(target, bytes_.data() + position_, count);
    position_ += count;
    return count;
  }

  std::size_t inflate_into(unsigned char* target, std::size_t size) {
    zlib_.next_out = target;
    zlib_.avail_out = static_cast<unsigned>(size);
    while (zlib_.avail_out > 0 && !ended_) {
      const int status = inflate(&zlib_, Z_NO_FLUSH);
      if (status == Z_STREAM_END) {
        ended_ = true;
      } else if (status == Z_BUF_ERROR) {
        break;  // no input left
      } else if (status != Z_OK) {
        throw InputError(fmt::format("{}: damaged gzip data: {}", path_.string(),
                                     zlib_.msg != nullptr ? zlib_.msg : "unknown error"));
      }
    }
    return size - zlib_.avail_out;
  }

  fs::path path_;
  std::vector<std::byte> bytes_;
  std::size_t position_ = 0, offset_ = 0;
  bool gzip_ = false, ended_ = false;
  z_stream zlib_{};
};

struct IdxFile {
  std::vector<std::int64_t> dims;
  std::string name;
};

// Opens an IDX file of unsigned bytes with `rank` dimensions, hands its contents to `take` in
// pieces, and checks that the file ends there. `start` sees the dimensions before any content.
IdxFile read_idx(const fs::path& path, std::size_t rank,
                 const std::function<void(const IdxFile&)>& start,
                 const std::function<void(std::span<const unsigned char>)>& take) {
  ByteStream stream(path);
  std::array<unsigned char, 4> word{};
  stream.read(word.data(), word.size());
  if (word[0] != 0 || word[1] != 0 || word[2] != 8 || word[3] != rank)
    throw InputError(
        fmt::format("{}: magic number {:02x}{:02x}{:02x}{:02x}, expected 000008{:02x} "
                    "(IDX, unsigned bytes, {} dimensions)",
                    path.string(), word[0], word[1], word[2], word[3], rank, rank));
  IdxFile file;
  file.name = path.string();
  std::int64_t total = 1;
  for (std::size_t d = 0; d < rank; ++d) {
    stream.read(word.data(), word.size());
    const std::int64_t size =
        (std::int64_t{word[0]} << 24) | (word[1] << 16) | (word[2] << 8) | word[3];
    constexpr std::int64_t kMostBytes = std::int64_t{4} << 30;
    if (size == 0 || size > kMostBytes / total)
      throw InputError(fmt::format("{}: dimension {} is {}, which makes no data or more than 4 GiB",
                                   file.name, d, size));
    total *= size;
    file.dims.push_back(size);
  }
  start(file);
  std::vector<unsigned char> piece(kChunk);
  while (total > 0) {
    const auto count = static_cast<std::size_t>(std::min<std::int64_t>(total, kChunk));
    stream.read(piece.data(), count);
    take({piece.data(), count});
    total -= static_cast<std::int64_t>(count);
  }
  stream.expect_end();
  return file;
}

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

Images read_part(const fs::path& folder, const std::string& part, const GraphInput& input,
                 const LoadOptions& options) {
  Images images;
  const std::array<std::int16_t, 256> codes = code_table(input);
  const IdxFile image_file = read_idx(
      find_file(folder, part + "-images-idx3-ubyte"), 3,
      [&](const IdxFile& file) {
        const std::array<std::int64_t, 3> shape = {1, file.dims[1], file.dims[2]};
        require_fitting_shape(file.name, shape, input);
        // Grown in steps: a header may promise more than the file holds.
        images.codes.reserve(static_cast<std::size_t>(
            std::min<std::int64_t>(element_count(file.dims), std::int64_t{64} << 20)));
      },
      [&](std::span<const unsigned char> bytes) {
        for (const unsigned char p : bytes) images.codes.push_back(codes[p]);
      });
  const IdxFile label_file = read_idx(
      find_file(folder, part + "-labels-idx1-ubyte"), 1,
      [&](const IdxFile& file) {
        if (file.dims[0] != image_file.dims[0])
          throw InputError(fmt::format("{}: {} labels, but {} has {} images", file.name,
                                       file.dims[0], image_file.name, image_file.dims[0]));
      },
      [&](std::span<const unsigned char> bytes) {
        for (const unsigned char label : bytes) images.labels.push_back(label);
      });
  for (std::int64_t i = 0; i < images.count(); ++i)
    require_label(label_file.name, i, images.labels[static_cast<std::size_t>(i)], options.classes);
  return images;
}

}  // namespace

Dataset load_idx(const std::string& folder, const GraphInput& input, const LoadOptions& options) {
  if (!fs::is_directory(folder)) throw InputError(fmt::format("{}: no such folder", folder));
  Dataset dataset;
  if (!options.test_only) dataset.train = read_part(folder, "train", input, options);
  dataset.test = read_part(folder, "t10k", input, options);
  return dataset;
}

}  // namespace lockstep::datasets
