// Memory with pages around it that nobody may touch: what lies before or behind it ends the test.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <new>

namespace lockstep::testing {

class GuardedBytes {
 public:
  // `at_end`: the last byte lies before a guard; otherwise the first lies behind one. `size` must
  // be a multiple of the alignment that the bytes are to have at the end.
  GuardedBytes(std::size_t size, bool at_end) : size_(size) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t inside = (size + page - 1) / page * page;
    mapped_ = inside + 2 * page;
    base_ = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base_ == MAP_FAILED) throw std::bad_alloc();
    auto* const first = static_cast<std::uint8_t*>(base_) + page;
    if (mprotect(first, inside, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    data_ = at_end ? first + inside - size : first;
  }
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;
  ~GuardedBytes() { munmap(base_, mapped_); }

  std::uint8_t* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  void* base_ = nullptr;
  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0, mapped_ = 0;
};

}  // namespace lockstep::testing
