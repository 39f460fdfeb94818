#include "compile/backends/c_source/target.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "compile/support/error.h"

namespace lockstep::backends {
namespace {

constexpr Target kTargets[] = {
    {"generic", MicroKernels::kNone},     {"cortex-m0", MicroKernels::kPacked},
    {"cortex-m3", MicroKernels::kPacked}, {"cortex-m4", MicroKernels::kDsp},
    {"cortex-m7", MicroKernels::kDsp},    {"cortex-m33", MicroKernels::kDsp},
    {"cortex-m55", MicroKernels::kMve},   {"rv32imc", MicroKernels::kPacked, 16},
    {"aarch64", MicroKernels::kNeon}};

}  // namespace

const Target& target_named(std::string_view name) {
  const auto* const found = std::ranges::find(kTargets, name, &Target::name);
  if (found == std::end(kTargets))
    throw InputError(
        fmt::format("target '{}': allowed are {}", name, fmt::join(target_names(), ", ")));
  return *found;
}

std::vector<std::string> target_names() {
  std::vector<std::string> names;
  for (const Target& target : kTargets) names.emplace_back(target.name);
  return names;
}

}  // namespace lockstep::backends
