// What a network says about itself: its tensors, where they lie, its inputs and outputs and its
// working memory. The tables of generated C must be the plan's, number by number; its working
// memory may be larger.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "verify/differential/observation.h"
#include "verify/differential/plan_runner.h"

namespace lockstep::verify {

struct NetTable {
  std::uint32_t arena_bytes = 0;
  std::vector<VisibleTensor> tensors;
  std::vector<std::uint32_t> arena_offsets;    // per tensor
  std::vector<std::uint32_t> inputs, outputs;  // indices into tensors
};

NetTable plan_table(const OpenPlan& plan);

struct TableDifference {
  std::string layer, text;  // the tensor, or the plan's first output for a number of the whole
};

// The first number of the tables of the C, or of whatever else `teller` names, that is not the
// plan's.
std::optional<TableDifference> first_difference(const NetTable& plan, const NetTable& c,
                                                std::string_view teller = "the C");

// The output element at `position`, counted as net_selftest counts.
TableDifference self_test_difference(const NetTable& plan, std::int64_t position);

}  // namespace lockstep::verify
