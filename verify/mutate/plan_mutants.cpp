#include "verify/mutate/plan_mutants.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "verify/mutate/plan_sites.h"

namespace lockstep::mutate {
namespace {

using Change = PlanMutants::Site::Change;

std::int64_t number_at(std::span<const std::byte> plan, std::size_t offset, std::size_t width) {
  std::uint64_t value = 0;
  std::memcpy(&value, plan.data() + offset, width);
  const auto unused = static_cast<int>(64 - 8 * width);
  return static_cast<std::int64_t>(value << unused) >> unused;
}

std::vector<std::byte> bytes_of(std::int64_t value, std::size_t width) {
  std::vector<std::byte> bytes(width);
  std::memcpy(bytes.data(), &value, width);
  return bytes;
}

}  // namespace

std::uint64_t Random::next() {
  state_ += 0x9E3779B97F4A7C15U;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

std::int64_t Random::between(std::int64_t lo, std::int64_t hi) {
  return lo + static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(hi - lo + 1));
}

PlanMutants::PlanMutants(std::span<const std::byte> plan, std::uint64_t seed)
    : plan_(plan), random_(seed) {
  const SitesOfKinds sites = sites_of(plan);
  for (const std::string_view name : kKinds) {
    const auto found = sites.find(name);
    if (found == sites.end()) continue;
    Kind kind{name, {}, 0};
    std::map<std::string, std::size_t> layers;
    for (const Site& site : found->second) {
      const auto [entry, is_new] = layers.try_emplace(site.layer, kind.layers.size());
      if (is_new) kind.layers.emplace_back();
      kind.layers[entry->second].push_back(site);
    }
    kinds_.push_back(std::move(kind));
  }
}

Mutant PlanMutants::next() {
  // A site may have nothing that can be changed, such as a row of bits that are all set; others
  // always have: every plan has tensors, and each a place in the arena.
  for (;;) {
    Kind& kind = kinds_[next_kind_++ % kinds_.size()];
    const std::vector<Site>& layer = kind.layers[kind.next_layer++ % kind.layers.size()];
    const Site& site = layer[random_.below(layer.size())];
    Mutant mutant{std::string(kind.name), site.layer, {}, 0, {}};
    if (change(site, mutant)) return mutant;
  }
}

// False where there is nothing to change.
bool PlanMutants::change(const Site& site, Mutant& mutant) {
  const std::size_t index = random_.below(site.count);
  mutant.offset = site.offset + index * site.width;
  const auto describe = [&](const auto& before, const auto& after) {
    mutant.description =
        fmt::format("{} {} of '{}': {} -> {}", site.what, index, site.layer, before, after);
    return true;
  };
  if (site.change == Change::kBit || site.change == Change::kMovedBit) {
    mutant.offset = site.offset + index / 8;
    const auto byte = static_cast<unsigned>(plan_[mutant.offset]);
    unsigned flipped = 1U << index % 8;
    if (site.change == Change::kMovedBit) {
      flipped = 3U << index % 7;
      if ((byte & flipped) == 0 || (byte & flipped) == flipped) return false;
    }
    mutant.bytes = {static_cast<std::byte>(byte ^ flipped)};
    return describe(byte, byte ^ flipped);
  }
  if (site.change == Change::kSwap) {
    if (index + 1 == site.count) return false;
    const std::int64_t here = number_at(plan_, mutant.offset, site.width),
                       there = number_at(plan_, mutant.offset + site.width, site.width);
    mutant.bytes = bytes_of(there, site.width);
    std::ranges::copy(bytes_of(here, site.width), std::back_inserter(mutant.bytes));
    return here != there && describe("first", "second");
  }
  const std::int64_t before = number_at(plan_, mutant.offset, site.width);
  const std::int64_t sign = random_.below(2) == 0 ? 1 : -1;
  std::int64_t after = before + sign;
  const auto bits = static_cast<std::int64_t>(8 * site.width);
  if (site.change == Change::kWeight) {
    switch (random_.below(5)) {
      case 0:
        after = -before;
        break;
      case 1:
        after = 0;
        break;
      case 2:
        after = before ^ (std::int64_t{1} << random_.between(0, bits - 1));
        break;
      default:
        break;
    }
  } else if (site.change == Change::kLarge && random_.below(2) == 0) {
    after = before + sign * (std::int64_t{1} << random_.between(1, bits - 2));
  } else if (site.change == Change::kChoice) {
    after = site.choices[random_.below(site.choices.size())];
  } else if (site.change == Change::kArena) {
    after = before + sign * 16 * random_.between(1, 64);
  }
  mutant.bytes = bytes_of(after, site.width);
  // As it is read again: it may have left its width.
  after = static_cast<std::int64_t>(number_at(mutant.bytes, 0, site.width));
  return after != before && describe(before, after);
}

std::vector<std::byte> PlanMutants::apply(const Mutant& mutant) const {
  std::vector<std::byte> changed(plan_.begin(), plan_.end());
  std::ranges::copy(mutant.bytes, changed.begin() + static_cast<std::ptrdiff_t>(mutant.offset));
  reseal(changed);
  return changed;
}

}  // namespace lockstep::mutate
