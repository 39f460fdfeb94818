#include "tools/bench/paired_timing.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

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

}  // namespace

std::vector<Timing> time_paired(std::span<const Contestant> contestants, int rounds) {
  LOCKSTEP_ASSERT(!contestants.empty() && rounds >= 1);
  for (const Contestant& contestant : contestants) contestant.run();
  std::vector<std::vector<double>> times(contestants.size()), ratios(contestants.size());
  for (int round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < contestants.size(); ++i) {
      times[i].push_back(milliseconds_of(contestants[i].run));
      ratios[i].push_back(times[i].back() / times[0].back());
    }
  std::vector<Timing> found;
  for (std::size_t i = 0; i < contestants.size(); ++i)
    found.push_back({contestants[i].name, median(times[i]), *std::ranges::min_element(times[i]),
                     median(ratios[i])});
  return found;
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
