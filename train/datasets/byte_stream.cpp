#include "train/datasets/byte_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "compile/support/error.h"

namespace lockstep::datasets {

ByteStream::ByteStream(const std::filesystem::path& path) : path_(path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    throw InputError(fmt::format("{}: cannot read: {}", path.string(),
                                 error ? error.message() : "no regular file"));
  file_.open(path, std::ios::binary);
  if (!file_.is_open()) throw InputError(fmt::format("{}: cannot read", path.string()));
  gzip_ = fill() >= 2 && buffer_[0] == 0x1f && buffer_[1] == 0x8b;
  // 15: the largest window; + 16: gzip's header and checksum.
  if (gzip_) LOCKSTEP_ASSERT(inflateInit2(&stream_, 15 + 16) == Z_OK);
}

ByteStream::~ByteStream() {
  if (gzip_) inflateEnd(&stream_);
}

void ByteStream::read(unsigned char* target, std::size_t size) {
  const std::size_t got = gzip_ ? inflate_into(target, size) : copy_into(target, size);
  offset_ += got;
  if (got != size)
    throw InputError(fmt::format("{}: truncated: {} bytes of contents, more are needed",
                                 path_.string(), offset_));
}

void ByteStream::expect_end() {
  unsigned char extra = 0;
  if ((gzip_ ? inflate_into(&extra, 1) : copy_into(&extra, 1)) != 0)
    throw InputError(
        fmt::format("{}: trailing bytes after {} bytes of contents", path_.string(), offset_));
  if (!gzip_) return;
  if (!ended_)
    throw InputError(fmt::format("{}: truncated: the gzip checksum is missing", path_.string()));
  if (fill() != 0)
    throw InputError(fmt::format("{}: trailing bytes after the gzip data", path_.string()));
}

std::size_t ByteStream::fill() {
  if (stream_.avail_in == 0) {
    file_.read(reinterpret_cast<char*>(buffer_.data()),
               static_cast<std::streamsize>(buffer_.size()));
    if (file_.bad()) throw InputError(fmt::format("{}: cannot read", path_.string()));
    stream_.next_in = buffer_.data();
    stream_.avail_in = static_cast<unsigned>(file_.gcount());
  }
  return stream_.avail_in;
}

std::size_t ByteStream::copy_into(unsigned char* target, std::size_t size) {
  std::size_t copied = 0;
  while (copied < size && fill() > 0) {
    const std::size_t count = std::min<std::size_t>(size - copied, stream_.avail_in);
    std::memcpy(target + copied, stream_.next_in, count);
    stream_.next_in += count;
    stream_.avail_in -= static_cast<unsigned>(count);
    copied += count;
  }
  return copied;
}

std::size_t ByteStream::inflate_into(unsigned char* target, std::size_t size) {
  stream_.next_out = target;
  stream_.avail_out = static_cast<unsigned>(size);
  while (stream_.avail_out > 0 && !ended_ && fill() > 0) {
    const int status = inflate(&stream_, Z_NO_FLUSH);
    if (status == Z_STREAM_END) {
      ended_ = true;
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      throw InputError(fmt::format("{}: damaged gzip data: {}", path_.string(),
                                   stream_.msg != nullptr ? stream_.msg : "unknown error"));
    }
  }
  return size - stream_.avail_out;
}

}  // namespace lockstep::datasets
