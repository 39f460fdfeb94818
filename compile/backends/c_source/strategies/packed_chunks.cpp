#include "compile/backends/c_source/strategies/packed_chunks.h"

#include <limits>

namespace lockstep::backends {
namespace {

constexpr std::int64_t kLongest = 255;  // pairs of taps

}  // namespace

bool PackedWeights::fits(const xt::xarray<std::int32_t>& weights) {
  // Two products of -127 and -128 fit 16 bits, two of -128 and -128 do not.
  return std::all_of(weights.begin(), weights.end(),
                     [](std::int32_t w) { return w >= -127 && w <= 127; });
}

void PackedWeights::open_part() {
  firsts_.push_back(std::ssize(lengths_));
  lengths_.push_back(0);
  sums_ = {};
}

void PackedWeights::add_pair(const std::array<WeightAndCode, 8>& pair) {
  std::array<ir::Range, 4> added{};
  bool fits = lengths_.back() < kLongest;
  for (std::size_t i = 0; i < pair.size(); ++i) {
    const auto& [weight, codes] = pair[i];
    weights_.push_back(weight);
    ir::Range& sum = added[i % 4];
    const std::int64_t a = weight * codes.lo, b = weight * codes.hi;
    sum.lo += std::min<std::int64_t>({a, b, 0});
    sum.hi += std::max<std::int64_t>({a, b, 0});
  }
  for (std::size_t c = 0; c < 4; ++c)
    fits = fits && sums_[c].lo + added[c].lo >= std::numeric_limits<std::int16_t>::min() &&
           sums_[c].hi + added[c].hi <= std::numeric_limits<std::int16_t>::max();
  if (!fits) {
    lengths_.push_back(0);
    sums_ = {};
  }
  ++lengths_.back();
  for (std::size_t c = 0; c < 4; ++c) {
    sums_[c].lo += added[c].lo;
    sums_[c].hi += added[c].hi;
  }
}

std::vector<std::int64_t> PackedWeights::first_chunks() const {
  std::vector<std::int64_t> result = firsts_;
  result.push_back(std::ssize(lengths_));
  return result;
}

}  // namespace lockstep::backends
