// One operator of a plan, decoded for people and for --json.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/support/open_plan.h"

namespace lockstep::cli {

struct PlanOperator {
  std::string name;                   // as in op_list.def
  std::string node;                   // the graph node that it computes
  std::vector<std::uint32_t> inputs;  // tensors
  std::uint32_t output = 0;
  std::uint64_t macs = 0;          // multiply-accumulates, those with weights that are 0 as well
  std::uint64_t weight_bytes = 0;  // weights as they are stored, and biases
  // How weights are stored: "dense", "sparse 1,234 of 9,216, 2,386 bytes", "segments 3:0 8:4" (end
  // and shift of each). "-": no weights.
  std::string storage = "-";
  nlohmann::ordered_json storage_json;  // null where `storage` is "-"
  // What it does to its accumulators or codes on their way out; tables and copies, too. "-":
  // nothing.
  std::string post;
  nlohmann::ordered_json post_json;  // null where `post` is "-"
};

PlanOperator plan_operator(const PlanFile& plan, std::uint32_t index);

}  // namespace lockstep::cli
