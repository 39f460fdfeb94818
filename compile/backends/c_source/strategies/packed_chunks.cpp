#include "compile/backends/c_source/strategies/packed_chunks.h"

#include <cstdint>

namespace lockstep::backends {
namespace {

constexpr std::int64_t kLongest = 255;  // pairs of taps

bool fit_halves(const std::array<ir::Range, 4>& sums) {
  return std::ranges::all_of(
      sums, [](const ir::Range& sum) { return sum.lo >= INT16_MIN && sum.hi <= INT16_MAX; });
}

}  // namespace

void PackedWeights::open_part() {
  firsts_.push_back(std::ssize(lengths_));
  lengths_.push_back(0);
  sums_ = {};
}

void PackedWeights::add_pair(const std::array<WeightAndCode, 8>& pair) {
  std::array<ir::Range, 4> alone{}, together = sums_;
  for (std::size_t i = 0; i < pair.size(); ++i) {
    const auto& [weight, codes] = pair[i];
    weights_.push_back(weight);
    fits_ = fits_ && weight >= INT8_MIN && weight <= INT8_MAX;
    const auto [least, most] = std::minmax({weight * codes.lo, weight * codes.hi});
    for (ir::Range* sum : {&alone[i % 4], &together[i % 4]}) {
      sum->lo += std::min<std::int64_t>(least, 0);
      sum->hi += std::max<std::int64_t>(most, 0);
    }
  }
  fits_ = fits_ && fit_halves(alone);
  if (lengths_.back() == kLongest || (lengths_.back() > 0 && !fit_halves(together))) {
    lengths_.push_back(0);
    together = alone;
  }
  ++lengths_.back();
  sums_ = together;
}

std::vector<std::int64_t> PackedWeights::first_chunks() const {
  std::vector<std::int64_t> result = firsts_;
  result.push_back(std::ssize(lengths_));
  return result;
}

}  // namespace lockstep::backends
