#include "verify/mutate/c_mutants.h"

#include <algorithm>
#include <charconv>

#include "verify/mutate/c_sites.h"

namespace lockstep::mutate {

std::string CMutant::apply(std::string_view source) const {
  std::string text(source);
  return text.replace(offset, before.size(), after);
}

CMutants::CMutants(std::string_view source, std::uint64_t seed) : source_(source), random_(seed) {
  for (auto& [kind, places] : c_sites_of(source)) {
    kinds_.push_back({kind, {}, 0});
    for (auto& [place, sites] : places) kinds_.back().places.push_back({place, sites});
  }
}

std::vector<std::string> CMutants::kinds() const {
  std::vector<std::string> names;
  for (const Kind& kind : kinds_) names.push_back(kind.name);
  return names;
}

// Another number than the one that is there: its neighbours, its opposite, 0, or one bit of it.
std::string CMutants::drawn(const Site& site, std::string_view kind) {
  if (!site.is_number) return site.choices[random_.below(site.choices.size())];
  const std::string_view text = std::string_view(source_).substr(site.offset, site.length);
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  const std::int64_t sign = random_.below(2) == 0 ? 1 : -1;
  std::int64_t after = number + sign;
  if (kind.ends_with("mask") || kind.ends_with("nonzero")) {
    after = number ^ (std::int64_t{1} << random_.below(8));
  } else {
    switch (random_.below(6)) {
      case 0:
        if (number != 0) after = -number;
        break;
      case 1:
        if (number != 0) after = 0;
        break;
      case 2:
        after = number + sign * (std::int64_t{1} << random_.below(6));
        break;
      default:;
    }
  }
  return std::to_string(after);
}

CMutant CMutants::next() {
  Kind& kind = kinds_[next_kind_++ % kinds_.size()];
  const Place& place = kind.places[kind.next_place++ % kind.places.size()];
  const Site& site = place.sites[random_.below(place.sites.size())];
  CMutant mutant;
  mutant.kind = kind.name;
  mutant.place = place.name;
  mutant.offset = site.offset;
  mutant.before = source_.substr(site.offset, site.length);
  mutant.after = drawn(site, kind.name);
  const auto begin = source_.begin();
  mutant.line = 1 + static_cast<std::size_t>(
                        std::count(begin, begin + static_cast<std::ptrdiff_t>(site.offset), '\n'));
  return mutant;
}

}  // namespace lockstep::mutate
