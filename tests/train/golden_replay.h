// Runs one recorded script of forwards, reads and reloads on a network of ours, and compares
// everything that was recorded: outputs, gradients, log lines, warnings, errors, and every state
// entry after every step.
//
// A case with a quirk tag shows behaviour of QSPARSE that Lockstep does not share (or shares, and
// the tag only warns). Where it does not, the recorded values of that point are left out, and what
// docs/qsparse-compatibility.md promises instead is checked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/train/golden_group.h"

namespace lockstep::test {

struct ReplayReport {
  std::int64_t values = 0;            // compared with recorded ones: tensor elements, lines, keys
  std::int64_t promises = 0;          // checks of our own documented behaviour instead
  std::vector<std::string> left_out;  // what was not compared, and why
  std::vector<std::string> differences;  // empty when all is well
};

ReplayReport replay(const GoldenGroup& group, const nlohmann::json& one);

}  // namespace lockstep::test
