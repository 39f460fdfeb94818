// Networks made up for tests: a graph and a state dict that fits it, from a seed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compile/checkpoint/state_dict.h"
#include "compile/graph/graph.h"

namespace lockstep::test {

// Pseudo-random numbers that are the same everywhere (SplitMix64), unlike those of <random>.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::int64_t between(std::int64_t lo, std::int64_t hi);  // inclusive
  bool chance(int percent) { return between(1, 100) <= percent; }
  float real(float magnitude);  // in [-magnitude, magnitude]

 private:
  std::uint64_t state_;
};

// Assembles the state-dict entries of one layer after another, under QSPARSE's key names.
class StateBuilder {
 public:
  void floats(const std::string& key, std::vector<std::int64_t> shape,
              const std::vector<float>& values);
  void quantize(const std::string& prefix, const std::vector<int>& decimals, int bits);
  void prune(const std::string& prefix, std::vector<std::int64_t> shape,
             const std::vector<std::uint8_t>& mask);
  void batch_norm(const std::string& prefix, const std::vector<float>& weight,
                  const std::vector<float>& bias, const std::vector<float>& running_mean,
                  const std::vector<float>& running_var);
  // QSPARSE's -1 for the entries of a quantize that never saw data.
  void unused_quantize(const std::string& prefix);
  StateDict take() { return std::move(state_); }

 private:
  StateDict state_;
};

struct Network {
  std::string json;
  Graph graph;
  StateDict state;
};

// A feed-forward network of up to a dozen nodes with convolutions, linear layers, pooling, masks,
// any mix of decimals and bits, several readers of one value, and one or more outputs.
Network random_network(std::uint64_t seed);

// Codes, or bytes, of every input of `graph`: pseudo-random, or all lowest (corner 1), or all
// highest (corner 2), or mostly zeros (corner 3).
std::vector<std::vector<std::int64_t>> input_codes(const Graph& graph, std::uint64_t seed,
                                                   int corner);

}  // namespace lockstep::test
