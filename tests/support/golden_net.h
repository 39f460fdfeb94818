// The recorded networks in tests/golden/nets: what QSPARSE computed, for comparison with what
// Lockstep does. The environment variable LOCKSTEP_NETS_DIR names another folder of such
// networks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compile/graph/graph.h"

namespace lockstep::test {

// Integer codes with the batch in front, row-major.
struct GoldenCodes {
  std::vector<std::int64_t> shape;  // with the batch
  std::vector<std::int64_t> values;
  std::vector<int> decimals;  // 1, or one per index of axis 1
};

// The exact output: value = accumulator * 2^-exponent; one exponent per element of one sample.
struct GoldenOutput {
  std::vector<std::int64_t> shape;  // with the batch
  std::vector<std::int64_t> accumulators;
  std::vector<int> exponents;
};

// One input shape, and all that was recorded with it.
struct GoldenVariant {
  Graph graph;  // topology.json through parse_graph
  GoldenCodes input;
  std::map<std::string, GoldenCodes> codes;  // by quantize node: every one of them
  // The float32 value of each of them, as QSPARSE computed it; row-major with the batch in front.
  std::map<std::string, std::vector<float>> values;
  std::optional<GoldenOutput> output;  // absent where the recorder could not be exact
};

struct GoldenNet {
  std::string name;
  std::filesystem::path folder;  // state_dict.pt and state_dict.safetensors lie here
  bool is_exact = false;         // float and integer evaluation agreed in every value
  std::vector<GoldenVariant> variants;
};

std::filesystem::path golden_folder();
// The names of the networks in golden_folder(), sorted.
std::vector<std::string> golden_net_names();
// InputError when a file is missing or does not hold what it should.
GoldenNet read_golden_net(const std::string& name);

}  // namespace lockstep::test
