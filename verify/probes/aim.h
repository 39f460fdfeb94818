// Chooses input codes of a linear operator so that sums come to lie right next to a threshold of
// what follows them: there a step of any weight whose input is not 0 shows.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "verify/probes/coverage.h"

namespace lockstep::verify {

class Aim {
 public:
  explicit Aim(const LinearProbe& layer);

  // Whether some channel has weights that are not covered, and has not been tried often in vain.
  bool wants_more() const;
  // Changes `codes`, within their proved ranges, for as many such channels as have positions that
  // read different inputs.
  void take(std::span<std::int64_t> codes, std::mt19937_64& random);

 private:
  struct Met {
    std::int64_t k, element;
  };
  bool is_open(std::int64_t channel) const;
  bool find_free(std::int64_t channel, std::mt19937_64& random, std::vector<Met>& met) const;
  // One in `one_in` of the uncovered weights is given an extreme input, none with 0. False, with
  // codes half changed, when the others then reach no threshold.
  bool aim_at(std::int64_t channel, const std::vector<Met>& met, std::uint64_t one_in,
              std::span<std::int64_t> codes, std::mt19937_64& random) const;

  const LinearProbe& layer_;
  std::vector<int> tries_;           // per channel, since something of it was covered
  std::vector<int> turns_;           // per channel, of all
  std::vector<std::int64_t> left_;   // per channel: uncovered weights when it was last tried
  std::vector<std::uint8_t> taken_;  // per input element, while one probe is made
  std::int64_t next_ = 0;            // the channel to begin with
};

}  // namespace lockstep::verify
