#include "tools/model/thread_pool.h"

#include "compile/support/error.h"

namespace lockstep {
namespace {

// About 50 microseconds: longer than most operators that run on one thread take between two that
// are divided.
constexpr int kWatches = 2000;

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  LOCKSTEP_ASSERT(threads >= 1 && threads < 1 << kPartBits);
  watches_ = static_cast<unsigned>(threads) <= std::thread::hardware_concurrency() ? kWatches : 0;
  workers_.reserve(static_cast<std::size_t>(threads) - 1);
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { serve(); });
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  jobs_.fetch_add(std::uint64_t{1} << kPartBits, std::memory_order_release);
  jobs_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

template <typename Done>
void ThreadPool::watch(const Done& done) const {
  for (int i = 0; i < watches_ && !done(); ++i) relax();
}

// A taken part keeps its job from ending, so the job's fields stay as they are until it is done.
bool ThreadPool::take_part() {
  std::uint64_t jobs = jobs_.load(std::memory_order_acquire);
  std::uint32_t left;
  do {
    left = static_cast<std::uint32_t>(jobs & ((1U << kPartBits) - 1));
    if (left == 0) return false;
  } while (!jobs_.compare_exchange_weak(jobs, jobs - 1, std::memory_order_acq_rel,
                                        std::memory_order_acquire));
  part_(work_, left - 1);
  if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
  return true;
}

void ThreadPool::serve() {
  while (true) {
    while (take_part()) {
    }
    const std::uint64_t seen = jobs_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_relaxed)) return;
    if ((seen & ((1U << kPartBits) - 1)) != 0) continue;
    const auto changed = [&] { return jobs_.load(std::memory_order_acquire) != seen; };
    watch(changed);
    if (!changed()) jobs_.wait(seen, std::memory_order_acquire);
  }
}

void ThreadPool::run(std::uint32_t parts, Part part, void* work) {
  LOCKSTEP_ASSERT(parts < 1U << kPartBits);
  if (workers_.empty() || parts <= 1) {
    for (std::uint32_t i = 0; i < parts; ++i) part(work, i);
    return;
  }
  part_ = part;
  work_ = work;
  unfinished_.store(parts, std::memory_order_relaxed);
  const std::uint64_t number = (jobs_.load(std::memory_order_relaxed) >> kPartBits) + 1;
  jobs_.store(number << kPartBits | parts, std::memory_order_release);
  jobs_.notify_all();
  while (take_part()) {
  }
  const auto finished = [&] { return unfinished_.load(std::memory_order_acquire) == 0; };
  watch(finished);
  for (std::uint32_t left; (left = unfinished_.load(std::memory_order_acquire)) != 0;)
    unfinished_.wait(left, std::memory_order_acquire);
}

intrt_parallel ThreadPool::parallel() {
  return {[](void* pool, std::uint32_t parts, Part part, void* work) {
            static_cast<ThreadPool*>(pool)->run(parts, part, work);
          },
          this, static_cast<std::uint32_t>(threads())};
}

}  // namespace lockstep
