// Every part of every job runs once, whatever the number of threads; what parts wrote is there when
// run() returns. Also built with ThreadSanitizer where the compiler has it.
#include "tools/model/thread_pool.h"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

namespace lockstep::test {
namespace {

// Plain memory, so that ThreadSanitizer sees whatever is not ordered.
struct Job {
  std::uint32_t number = 0;
  std::vector<std::uint32_t> written;
};

void add_number(void* work, std::uint32_t part) {
  Job& job = *static_cast<Job*>(work);
  job.written[part] += job.number + part;
}

// 0, 1, 2, ... threads' parts, more parts than threads and fewer.
void run_jobs(ThreadPool& pool, std::uint32_t jobs) {
  for (std::uint32_t parts = 0; parts <= 9; ++parts) {
    Job job{0, std::vector<std::uint32_t>(parts)};
    std::uint32_t sum = 0;
    for (std::uint32_t n = 1; n <= jobs; ++n) {
      job.number = n;
      pool.run(parts, add_number, &job);
      sum += n;
      for (std::uint32_t part = 0; part < parts; ++part)
        REQUIRE(job.written[part] == sum + n * part);
    }
  }
}

}  // namespace

TEST_CASE("every part of every job runs once, for 1, 2, 3 and 7 threads") {
  for (const int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    CHECK(pool.threads() == threads);
    run_jobs(pool, 200);
  }
}

TEST_CASE("pools come and go, with threads that never had work and with sleeping ones") {
  for (int i = 0; i < 50; ++i) {
    ThreadPool idle(3);
    ThreadPool pool(3);
    run_jobs(pool, 1);
    if (i % 10 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    run_jobs(pool, 1);
  }
}

TEST_CASE("the runtime's view of a pool") {
  ThreadPool pool(2);
  const intrt_parallel parallel = pool.parallel();
  CHECK(parallel.threads == 2);
  Job job{1, std::vector<std::uint32_t>(5)};
  parallel.run(parallel.pool, 5, add_number, &job);
  CHECK(job.written == std::vector<std::uint32_t>{1, 2, 3, 4, 5});
}

}  // namespace lockstep::test
