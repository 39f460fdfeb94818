// `verify --self-test`: how many wrong versions of the plan at hand the proof would let through.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>

#include "verify/checker/plan.h"

namespace lockstep::cli {

struct SelfTest {
  std::string text;
  nlohmann::ordered_json json;
  std::optional<int> exit_code;  // instead of the verdict's, where the test was not passed
};

// Makes `count` changed plans and gives them to the checker (verify/mutate/score.h). A plan that
// the checker does not accept in the first place cannot be tested: that is kExitRefuted or
// kExitUnknown. A survivor is a mistake in Lockstep: kExitInternalError. InputError for files that
// the checker cannot read. `prove`: as in ScoreOptions.
SelfTest self_test(const std::filesystem::path& graph, const std::filesystem::path& weights,
                   std::span<const std::byte> plan, std::int64_t count, std::uint64_t seed,
                   const std::function<void(const checker::Plan&)>& prove = {});

}  // namespace lockstep::cli
