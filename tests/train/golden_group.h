// The recorded layer cases in tests/golden/layers: what QSPARSE computed; its README says what the
// files hold. The environment variable LOCKSTEP_GOLDEN_DIR names another folder of such cases, in
// which nothing about their number is known.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "compile/checkpoint/state_dict.h"

namespace lockstep::test {

struct GoldenGroup {
  // GROUP.json and GROUP.safetensors of the folder. InputError when one is missing or damaged.
  explicit GoldenGroup(const std::string& name);

  torch::Tensor tensor(const nlohmann::json& key) const;  // `key` is a text
  bool is_committed() const;  // false when LOCKSTEP_GOLDEN_DIR names the folder

  std::string name;
  nlohmann::json cases;
  StateDict tensors;
};

// False, with a line on standard output, when LOCKSTEP_GOLDEN_DIR names a folder without any layer
// cases (one of whole networks, say).
bool has_golden_groups();

// Equal shape and values; NaN equals NaN, -0 equals 0.
bool same_values(const torch::Tensor& a, const torch::Tensor& b);
// Equal shape, and |a - b| <= 1e-6 + 1e-5 |b|.
bool close_values(const torch::Tensor& a, const torch::Tensor& b);

}  // namespace lockstep::test
