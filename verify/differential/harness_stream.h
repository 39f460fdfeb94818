// Reads what the harness wrote (harness/harness.h says how) and writes what it reads. The bytes
// come from a program under test, so nothing about them is taken for granted.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "verify/differential/net_table.h"
#include "verify/differential/observation.h"
#include "verify/verify.h"

namespace lockstep::verify {

struct HarnessOutput {
  std::optional<Observations> seen;  // only when every byte was as expected
  NetTable table;                    // what the C says about itself, with `seen`
  std::vector<std::uint32_t> order;  // of the tensors that the first sample reported, with `seen`
  std::uint32_t stack_bytes = 0;     // the most that a run took; 0 where it is not measured
  std::string failure;               // otherwise why not
};

// `every_tensor`: each tensor must be reported once per sample; otherwise each output must, and
// only outputs are in the result.
HarnessOutput parse_harness_output(std::span<const std::byte> bytes, std::int64_t samples,
                                   bool every_tensor);

// The samples as the harness reads them: each input HWC, in the narrowest type that holds its bits.
std::vector<std::byte> harness_input(const Graph& graph, const Batch& batch, std::int64_t samples);

// The same for inputs as `table` describes them, in its order.
std::vector<std::byte> harness_input(const NetTable& table, const Batch& batch,
                                     std::int64_t samples);

// Codes of every tensor of the network, in (C,H,W) order, one vector per tensor.
using Probe = std::vector<std::vector<std::int64_t>>;

// The same for a build that is probed: of each probe the inputs, then every tensor of `order`,
// which is the order in which the C reports them.
std::vector<std::byte> probe_input(const NetTable& table, const std::vector<std::uint32_t>& order,
                                   const std::vector<Probe>& probes);

}  // namespace lockstep::verify
