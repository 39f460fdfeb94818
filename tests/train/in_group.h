// Runs a group of processes as threads of this one: each has its own ProcessGroup.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/temporary_folder.h"
#include "train/process_group.h"

namespace lockstep::test {

inline train::GroupOptions group_options(const TemporaryFolder& folder, std::int64_t rank,
                                         std::int64_t size) {
  return {.world_size = size,
          .rank = rank,
          .init_method = "file://" + (folder / "meeting").string(),
          .timeout_seconds = 60};
}

// `run` of every rank, in threads; by rank the message of what it has thrown, empty for none.
template <typename Run>
std::vector<std::string> errors_by_rank(std::int64_t size, Run&& run) {
  std::vector<std::string> errors(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  for (std::int64_t rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      try {
        run(rank);
      } catch (const std::exception& error) {
        errors[static_cast<std::size_t>(rank)] = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  return errors;
}

// The same where each rank has joined the group; one that throws tells the others.
template <typename Work>
std::vector<std::string> in_group(std::int64_t size, Work&& work) {
  const TemporaryFolder folder;
  return errors_by_rank(size, [&](std::int64_t rank) {
    train::ProcessGroup group(group_options(folder, rank, size));
    try {
      work(group);
    } catch (const std::exception& error) {
      group.leave(error.what());
      throw;
    }
  });
}

}  // namespace lockstep::test
