// The bytes of a plan while it is written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace lockstep::backends {

// Narrower integers; assert that the number fits.
std::uint32_t u32(std::int64_t x);
std::int32_t i32(std::int64_t x);
std::int8_t i8(std::int64_t x);
std::uint32_t size32(std::size_t size);

// The bytes so far. Integers are little endian because the machine is: intrt refuses others.
class PlanBytes {
 public:
  // Each append returns the offset at which its bytes begin, a multiple of `alignment`.
  std::uint32_t append(const void* data, std::size_t size, std::size_t alignment) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment);
    const std::size_t offset = bytes_.size();
    bytes_.resize(offset + size);
    if (size > 0) std::memcpy(bytes_.data() + offset, data, size);
    return size32(offset);
  }
  template <typename T>
  std::uint32_t append_all(const std::vector<T>& elements, std::size_t alignment = alignof(T)) {
    return append(elements.data(), elements.size() * sizeof(T), alignment);
  }
  std::uint32_t append_text(const std::string& text) {
    return append(text.c_str(), text.size() + 1, 1);
  }
  template <typename T>
  void overwrite(std::size_t offset, const T& record) {
    std::memcpy(bytes_.data() + offset, &record, sizeof record);
  }
  std::size_t size() const { return bytes_.size(); }
  const std::byte* data() const { return bytes_.data(); }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace lockstep::backends
