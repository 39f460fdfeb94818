// How long each operator of a plan takes here, and how that compares with the machine's peak.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lockstep/model.h"
#include "tools/profile/machine_peak.h"

namespace lockstep::cli {

struct OperatorProfile {
  OperatorInfo info;
  double seconds = 0;

  double macs_per_second() const { return static_cast<double>(info.macs) / seconds; }
};

struct Profile {
  std::string network, kernels;
  int threads = 1;
  std::size_t inferences = 0;
  MachinePeak peak;
  double seconds = 0;  // of the whole network, with no clock read within it
  std::vector<OperatorProfile> operators;

  // What is multiplied in a second, of what the machine could.
  double share_of_peak(const OperatorProfile& op) const {
    return op.macs_per_second() / peak.macs_per_second;
  }
};

// Runs for so many seconds, on the same inputs in each run; times are medians.
Profile profile_of(Model& model, std::span<const ModelInput> inputs, double seconds);

std::string profile_text(const Profile& profile);  // without the last newline
nlohmann::ordered_json profile_json(const Profile& profile);

}  // namespace lockstep::cli
