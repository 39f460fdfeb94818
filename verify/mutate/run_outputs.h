// Plans on the runtime.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace lockstep::mutate {

// The bytes of all outputs on so many drawn inputs, one after the other; nothing where the runtime
// does not open the plan. Plans with the same inputs are given the same codes.
std::optional<std::vector<std::byte>> run_outputs(std::span<const std::byte> plan, int runs,
                                                  std::uint64_t seed);

}  // namespace lockstep::mutate
