#include "tools/bench/paired_timing.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "compile/support/error.h"

namespace lockstep::bench {
namespace {

double milliseconds_of(const std::function<void()>& run) {
  const auto begin = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
      .count();
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// One contestant in one round.
struct Sample {
  double time = 0, least = 0;
};

template <typename Measure>
std::vector<Timing> time_in_turn(std::span<const Contestant> contestants, int rounds,
                                 const Measure& measure) {
  LOCKSTEP_ASSERT(!contestants.empty() && rounds >= 1);
  for (const Contestant& contestant : contestants) contestant.run();
  std::vector<std::vector<double>> times(contestants.size()), ratios(contestants.size());
  std::vector<double> least(contestants.size(), std::numeric_limits<double>::infinity());
  for (int round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < contestants.size(); ++i) {
      const Sample sample = measure(contestants[i]);
      times[i].push_back(sample.time);
      ratios[i].push_back(times[i].back() / times[0].back());
      least[i] = std::min(least[i], sample.least);
    }
  std::vector<Timing> found;
  for (std::size_t i = 0; i < contestants.size(); ++i)
    found.push_back({contestants[i].name, median(times[i]), least[i], median(ratios[i])});
  return found;
}

}  // namespace

std::vector<Timing> time_paired(std::span<const Contestant> contestants, int rounds) {
  return time_in_turn(contestants, rounds, [](const Contestant& contestant) {
    const double time = milliseconds_of(contestant.run);
    return Sample{time, time};
  });
}

std::vector<Timing> time_bursts(std::span<const Contestant> contestants, int rounds,
                                double burst_ms) {
  return time_in_turn(contestants, rounds, [&](const Contestant& contestant) {
    constexpr std::size_t kLeastRuns = 3;
    std::vector<double> times;
    double sum = 0;
    while (sum < burst_ms || times.size() < kLeastRuns) {
      times.push_back(milliseconds_of(contestant.run));
      sum += times.back();
    }
    const double least = *std::ranges::min_element(times);
    return Sample{median(std::move(times)), least};
  });
}

void print_timings(const std::string& title, std::span<const Timing> timings) {
  std::size_t width = 0;
  for (const Timing& timing : timings) width = std::max(width, timing.name.size());
  fmt::print("{}\n  {:{}}  {:>10}  {:>10}  {:>6}\n", title, "", width, "median ms", "least ms",
             "ratio");
  for (const Timing& timing : timings)
    fmt::print("  {:{}}  {:10.2f}  {:10.2f}  {:6.3f}\n", timing.name, width, timing.median_ms,
               timing.least_ms, timing.ratio);
}

}  // namespace lockstep::bench
