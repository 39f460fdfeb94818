#include "verify/probes/aim.h"

#include <algorithm>
#include <cstdlib>

#include "verify/semantics/index.h"

namespace lockstep::verify {
namespace {

constexpr int kMostTries = 64;  // of one channel in vain
constexpr int kPositionTries = 8;
constexpr int kShares = 8;  // one in 2, 4, ... 256

bool coin(std::mt19937_64& random) { return (random() >> 32 & 1) != 0; }

std::int64_t between(std::int64_t lo, std::int64_t hi, std::mt19937_64& random) {
  const auto count = static_cast<std::uint64_t>(hi) - static_cast<std::uint64_t>(lo) + 1;
  return lo + static_cast<std::int64_t>(random() % count);
}

}  // namespace

Aim::Aim(const LinearProbe& layer)
    : layer_(layer),
      tries_(at(layer.channels()), 0),
      turns_(at(layer.channels()), 0),
      left_(at(layer.channels()), INT64_MAX),
      taken_(layer.input_facts().lo.size(), 0) {}

bool Aim::is_open(std::int64_t channel) const {
  return layer_.uncovered(channel) > 0 &&
         (tries_[at(channel)] < kMostTries || layer_.uncovered(channel) < left_[at(channel)]);
}

bool Aim::wants_more() const {
  for (std::int64_t channel = 0; channel < layer_.channels(); ++channel)
    if (is_open(channel)) return true;
  return false;
}

bool Aim::is_free(const std::vector<Met>& met) const {
  return std::ranges::all_of(met, [&](const Met& one) { return taken_[at(one.element)] == 0; });
}

void Aim::take(std::span<std::int64_t> codes, std::mt19937_64& random) {
  std::fill(taken_.begin(), taken_.end(), std::uint8_t{0});
  const std::int64_t first = next_;
  for (std::int64_t i = 0; i < layer_.channels(); ++i) {
    const std::int64_t channel = (first + i) % layer_.channels();
    if (!is_open(channel)) continue;
    std::vector<Met> met = aim_beyond(channel, codes, random);
    if (met.empty() && layer_.has_threshold(channel)) {
      met = find_free(channel, random);
      if (met.empty()) continue;
      if (!aim_at(channel, met, std::uint64_t{2} << turns_[at(channel)]++ % kShares, codes, random))
        aim_at(channel, met, 0, codes, random);
    }
    if (met.empty()) continue;
    if (layer_.uncovered(channel) < left_[at(channel)]) tries_[at(channel)] = 0;
    left_[at(channel)] = layer_.uncovered(channel);
    tries_[at(channel)] += 1;
    next_ = (channel + 1) % layer_.channels();
    for (const Met& one : met) taken_[at(one.element)] = 1;
  }
}

std::vector<Aim::Met> Aim::find_free(std::int64_t channel, std::mt19937_64& random) const {
  const std::int64_t tries = std::min<std::int64_t>(kPositionTries, layer_.plane());
  for (std::int64_t attempt = 0; attempt < tries; ++attempt) {
    const std::int64_t position = between(0, layer_.plane() - 1, random);
    if (!layer_.keeps(channel, position)) continue;
    std::vector<Met> met = layer_.met(channel, position);
    if (is_free(met)) return met;
  }
  return {};
}

std::optional<Aim::Place> Aim::find_place(std::int64_t channel, std::int64_t k, bool upwards,
                                          std::mt19937_64& random) const {
  const ElementFacts& facts = layer_.input_facts();
  const std::int64_t first = between(0, layer_.plane() - 1, random);
  for (std::int64_t i = 0; i < layer_.plane(); ++i) {
    const std::int64_t position = (first + i) % layer_.plane();
    if (!layer_.keeps(channel, position)) continue;
    const Surroundings around = layer_.surroundings(channel, position);
    if (around.threshold) continue;
    Jump jump;
    if (k == layer_.reach().fan_in)
      jump = layer_.least_jump(channel, k, upwards, 1, 1, around);
    else
      layer_.reach().each(channel, position, [&](std::int64_t other, std::int64_t element) {
        if (other == k)
          jump = layer_.least_jump(channel, k, upwards, facts.lo[at(element)],
                                   facts.hi[at(element)], around);
      });
    if (jump.size == layer_.missing(channel, k, upwards)) return Place{position, jump};
  }
  return std::nullopt;
}

std::vector<Aim::Met> Aim::aim_beyond(std::int64_t channel, std::span<std::int64_t> codes,
                                      std::mt19937_64& random) const {
  if (!layer_.has_constant(channel)) return {};
  const std::int64_t numbers = layer_.reach().fan_in + 1;
  std::int64_t k = between(0, numbers - 1, random);
  while (layer_.is_covered(channel, k)) k = (k + 1) % numbers;
  const bool upwards = layer_.missing(channel, k, false) == 0 ||
                       (layer_.missing(channel, k, true) != 0 && coin(random));
  const std::optional<Place> place = find_place(channel, k, upwards, random);
  if (!place) return {};
  std::vector<Met> met = layer_.met(channel, place->position);
  if (!is_free(met)) return {};
  const bool raises = upwards == (place->jump.code > 0);
  const ElementFacts& facts = layer_.input_facts();
  for (const Met& one : met) {
    const std::int64_t weight = layer_.weight(channel, one.k);
    const bool high = weight == 0 ? coin(random) : (weight > 0) == raises;
    codes[at(one.element)] = high ? facts.hi[at(one.element)] : facts.lo[at(one.element)];
    if (one.k == k) codes[at(one.element)] = place->jump.code;
  }
  return met;
}

bool Aim::aim_at(std::int64_t channel, const std::vector<Met>& met, std::uint64_t one_in,
                 std::span<std::int64_t> codes, std::mt19937_64& random) const {
  const ElementFacts& facts = layer_.input_facts();
  std::vector<Met> adjustable;
  // Some uncovered weights get inputs as far from 0 as there are, the rest makes up the sum.
  std::int64_t sum = layer_.weight(channel, layer_.reach().fan_in), lo = sum, hi = sum;
  for (const Met& one : met) {
    std::int64_t& code = codes[at(one.element)];
    const std::int64_t weight = layer_.weight(channel, one.k);
    const std::int64_t lowest = facts.lo[at(one.element)], highest = facts.hi[at(one.element)];
    const bool pinned = one_in != 0 && !layer_.is_covered(channel, one.k) && random() % one_in == 0;
    if (pinned) {
      code = highest == 0 || (lowest != 0 && coin(random)) ? lowest : highest;
      lo += weight * code;
      hi += weight * code;
    } else {
      if (weight != 0) adjustable.push_back(one);
      lo += std::min(weight * lowest, weight * highest);
      hi += std::max(weight * lowest, weight * highest);
    }
    sum += weight * code;
  }
  const std::int64_t first = layer_.output_code(channel, lo),
                     last = layer_.output_code(channel, hi);
  if (first == last && one_in != 0) return false;
  std::int64_t target = coin(random) ? lo : hi;  // where no threshold is in reach
  if (first != last) {
    // One of the codes behind the first, and the least sum that has come as far.
    const bool rising = layer_.is_rising(channel);
    const std::int64_t code =
        rising ? between(first + 1, last, random) : between(last, first - 1, random);
    std::int64_t below = lo;
    target = hi;
    while (target - below > 1) {
      const std::int64_t middle = below + (target - below) / 2;
      const std::int64_t reached = layer_.output_code(channel, middle);
      ((rising ? reached < code : reached > code) ? below : target) = middle;
    }
    if (coin(random)) target = below;
  }
  std::shuffle(adjustable.begin(), adjustable.end(), random);
  std::stable_sort(adjustable.begin(), adjustable.end(), [&](const Met& a, const Met& b) {
    return std::abs(layer_.weight(channel, a.k)) > std::abs(layer_.weight(channel, b.k));
  });
  for (const Met& one : adjustable) {
    std::int64_t& code = codes[at(one.element)];
    const std::int64_t weight = layer_.weight(channel, one.k);
    const std::int64_t wanted = std::clamp(code + (target - sum) / weight,
                                           facts.lo[at(one.element)], facts.hi[at(one.element)]);
    sum += weight * (wanted - code);
    code = wanted;
  }
  return true;
}

}  // namespace lockstep::verify
