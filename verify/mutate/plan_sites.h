// Where the numbers of a plan are.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "verify/mutate/plan_mutants.h"

namespace lockstep::mutate {

// The names are those of kKinds.
using SitesOfKinds = std::map<std::string_view, std::vector<PlanMutants::Site>>;

// Of a plan that can be read: offsets and counts are not checked again.
SitesOfKinds sites_of(std::span<const std::byte> plan);

// Computes the checksum of a plan again.
void reseal(std::span<std::byte> plan);

}  // namespace lockstep::mutate
