// Runs plans and watches their chains (intrt/chain.h).
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "intrt/prepared.h"

namespace lockstep::testing {

// Threads whose parts run one after the other, the last first. No part of a chain may write what
// another one keeps.
class ChainWatch {
 public:
  explicit ChainWatch(std::uint32_t threads) : parallel_{run_parts, this, threads} {}
  ChainWatch(const ChainWatch&) = delete;
  ChainWatch& operator=(const ChainWatch&) = delete;

  intrt_status run(const intrt_plan& plan, const void* prepared, void* arena,
                   std::size_t arena_bytes) {
    const intrt_run_options options{nullptr, nullptr, nullptr, &parallel_};
    const intrt::Prepared watched{*static_cast<const intrt::PreparedHeader*>(prepared),
                                  intrt::run_divided, run_watched};
    return intrt::run_operators(&plan, &watched, arena, arena_bytes, &options);
  }

  int chains() const { return chains_; }    // that ran
  int divided() const { return divided_; }  // of these, in several parts

 private:
  static bool run_watched(const intrt_plan& plan, const intrt::PreparedHeader& header,
                          std::uint32_t first, void* arena, const intrt_run_options* options) {
    ChainWatch& watch = *static_cast<ChainWatch*>(options->parallel->pool);
    watch.link_ = &header.links()[first];
    watch.arena_ = static_cast<const std::uint8_t*>(arena);
    const bool has_run = intrt::run_chain(plan, header, first, arena, options);
    watch.link_ = nullptr;
    watch.chains_ += has_run ? 1 : 0;
    return has_run;
  }

  static void run_parts(void* pool, std::uint32_t parts, void (*part)(void*, std::uint32_t),
                        void* work) {
    ChainWatch& watch = *static_cast<ChainWatch*>(pool);
    for (std::uint32_t i = parts; i-- > 0;) {
      const std::vector<std::uint8_t> before = watch.kept_by_others(i, parts);
      part(work, i);
      CHECK(watch.kept_by_others(i, parts) == before);
    }
    watch.divided_ += watch.link_ != nullptr ? 1 : 0;
  }

  std::vector<std::uint8_t> kept_by_others(std::uint32_t part, std::uint32_t parts) const {
    std::vector<std::uint8_t> bytes;
    for (std::uint32_t other = 0; link_ != nullptr && other < parts; ++other) {
      const std::uint8_t* const begin =
          arena_ + link_->arena_offset + std::size_t{other} * link_->part_bytes;
      if (other != part) bytes.insert(bytes.end(), begin, begin + link_->part_bytes);
    }
    return bytes;
  }

  intrt_parallel parallel_;
  const intrt::ChainLink* link_ = nullptr;  // the first of the chain that runs
  const std::uint8_t* arena_ = nullptr;
  int chains_ = 0, divided_ = 0;
};

}  // namespace lockstep::testing
