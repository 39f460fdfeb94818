// Timing several ways of doing the same work on a machine that others use, too: they run in turn,
// round by round, so that a slow moment hits all of them, and medians are compared.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace lockstep::bench {

struct Contestant {
  std::string name;
  std::function<void()> run;
};

struct Timing {
  std::string name;
  double median_ms = 0, least_ms = 0;
  // Median over the rounds of (this one's time / the first contestant's time in the same round).
  double ratio = 0;
};

// Runs each contestant once unmeasured, then `rounds` (at least 1) times in turn. In the order of
// `contestants`.
std::vector<Timing> time_paired(std::span<const Contestant> contestants, int rounds);

// For what is too short to be timed once. In each round each contestant runs again and again for
// `burst_ms`, at least three times, and the median of that burst is its time in this round. The
// least time is that of all single runs.
std::vector<Timing> time_bursts(std::span<const Contestant> contestants, int rounds,
                                double burst_ms);

// A table on standard output; `title` stands above it.
void print_timings(const std::string& title, std::span<const Timing> timings);

}  // namespace lockstep::bench
