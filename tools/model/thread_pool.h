// A few threads that compute the parts of one thing after the other.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "intrt/intrt.h"

namespace lockstep {

// For one caller at a time, who computes parts, too; so a pool of n has n - 1 threads of its own.
// These watch for work for some microseconds before they sleep, unless there are more of them than
// the machine has.
class ThreadPool {
 public:
  using Part = void (*)(void* work, std::uint32_t index);

  explicit ThreadPool(int threads);  // at least 1
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // part(work, i) for each i below `parts`, in any order; returns when all have returned. Parts
  // throw nothing and do not call this.
  void run(std::uint32_t parts, Part part, void* work);

  intrt_parallel parallel();  // for runs of plans; `this` outlives them

 private:
  // How many parts of the job nobody has taken yet, below its number.
  static constexpr int kPartBits = 16;

  bool take_part();
  void serve();
  template <typename Done>
  void watch(const Done& done) const;

  // Written while no part is left, read by those who took one.
  Part part_ = nullptr;
  void* work_ = nullptr;
  // On cache lines of their own: all threads watch the first, each writes the second.
  alignas(64) std::atomic<std::uint64_t> jobs_ = 0;
  alignas(64) std::atomic<std::uint32_t> unfinished_ = 0;
  std::atomic<bool> stop_ = false;
  int watches_;
  std::vector<std::thread> workers_;
};

}  // namespace lockstep
