// A small network that is pruned and quantized within two epochs of generated data, and what the
// tests of training look at.
#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "compile/support/files.h"
#include "tests/support/torch_doctest.h"
#include "train/train.h"

namespace lockstep::test {

// Prunes at steps 40 and 60, quantizes at 70 and 80; an epoch of the generated data has 47 steps.
inline constexpr const char* kSmall = R"({"format": "lockstep-graph", "version": 1, "name": "small",
 "inputs": [{"name": "input", "shape": [1, 8, 8], "bits": 8, "decimal": 7}],
 "nodes": [
  {"name": "conv", "op": "conv2d", "inputs": ["input"],
   "attrs": {"in_channels": 1, "out_channels": 4, "kernel_size": [3, 3]},
   "wrap": [{"type": "prune", "start": 20, "interval": 20, "repetition": 2},
            {"type": "quantize", "channelwise": 0, "timeout": 70, "bias_bits": 12}]},
  {"name": "thin", "op": "prune", "inputs": ["conv"],
   "attrs": {"start": 20, "interval": 20, "repetition": 2, "window_size": 8}},
  {"name": "code", "op": "quantize", "inputs": ["thin"],
   "attrs": {"channelwise": -1, "timeout": 80, "window_size": 100}},
  {"name": "relu", "op": "relu", "inputs": ["code"]},
  {"name": "flat", "op": "flatten", "inputs": ["relu"]},
  {"name": "drop", "op": "dropout", "inputs": ["flat"], "attrs": {"p": 0.1}},
  {"name": "fc", "op": "linear", "inputs": ["drop"],
   "attrs": {"in_features": 144, "out_features": 10, "bias": false},
   "wrap": [{"type": "quantize", "channelwise": 0, "timeout": 70}]},
  {"name": "logits", "op": "quantize", "inputs": ["fc"], "attrs": {"channelwise": -1, "timeout": 80}}],
 "outputs": ["logits"]})";

inline Graph small_graph() { return lockstep::parse_graph(kSmall, "small"); }

inline train::TrainOptions options_for(const std::filesystem::path& out) {
  train::TrainOptions options;
  options.data = "synthetic";
  options.out = out;
  options.recipe.epochs = 3;
  options.recipe.optimizer.learning_rate = 0.005;
  options.threads = 1;
  options.quiet = true;
  return options;
}

inline std::vector<nlohmann::json> read_log(const std::filesystem::path& path) {
  std::vector<nlohmann::json> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

inline void check_same_file(const std::filesystem::path& a, const std::filesystem::path& b) {
  CAPTURE(a.filename().string());
  CHECK(lockstep::sha256_hex(lockstep::read_file(a)) ==
        lockstep::sha256_hex(lockstep::read_file(b)));
}

}  // namespace lockstep::test
