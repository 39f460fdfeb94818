// A file's contents in order, inflated where the file is gzip's; never all of them at once.
#pragma once

#include <zlib.h>

#include <array>
#include <cstddef>
#include <filesystem>
#include <fstream>

namespace lockstep::datasets {

class ByteStream {
 public:
  // InputError for a file that cannot be read.
  explicit ByteStream(const std::filesystem::path& path);
  ~ByteStream();
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  // Exactly `size` bytes; InputError when there are fewer, or damaged ones.
  void read(unsigned char* target, std::size_t size);

  // InputError when anything follows, and, for gzip, when the checksum is wrong.
  void expect_end();

 private:
  std::size_t fill();  // more bytes of the file; how many there are
  std::size_t copy_into(unsigned char* target, std::size_t size);
  std::size_t inflate_into(unsigned char* target, std::size_t size);

  std::filesystem::path path_;
  std::ifstream file_;
  std::array<unsigned char, 1 << 16> buffer_{};  // those of the file at next_in are not used yet
  std::size_t offset_ = 0;                       // of what was read
  bool gzip_ = false, ended_ = false;
  z_stream stream_{};
};

}  // namespace lockstep::datasets
