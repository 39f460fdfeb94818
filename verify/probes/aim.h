// Chooses input codes of a linear operator so that wrong weights show. Where sums reach a threshold
// of what follows them, one is brought right next to it: there a step of any weight whose input is
// not 0 shows. Where they reach none, the sum is brought as near as it gets, with the extreme input
// of one weight that makes its least jump (coverage.h) reach the threshold.
#pragma once

#include <cstdint>
#include <optional>
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
  using Met = LinearProbe::Met;
  bool is_open(std::int64_t channel) const;
  bool is_free(const std::vector<Met>& met) const;
  // The position at which the least jump of number `k` shows, by how much; nothing where it takes a
  // threshold within reach.
  struct Place {
    std::int64_t position;
    Jump jump;
  };
  std::optional<Place> find_place(std::int64_t channel, std::int64_t k, bool upwards,
                                  std::mt19937_64& random) const;
  // What weights of the channel meet at a position that reads nothing taken and that no mask
  // removes; empty when a few tries found none.
  std::vector<Met> find_free(std::int64_t channel, std::mt19937_64& random) const;
  // Covers the least jump of some weight for certain; what the position met, or nothing, with no
  // code changed, when it is not a jump beyond all sums or when its inputs are taken.
  std::vector<Met> aim_beyond(std::int64_t channel, std::span<std::int64_t> codes,
                              std::mt19937_64& random) const;
  // One in `one_in` of the uncovered weights is given an extreme input, none with 0. False, with
  // codes half changed, when the others then reach no threshold; never with 0.
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
