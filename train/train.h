// The training front door: a graph becomes a LibTorch module with QSPARSE's quantize and prune
// layers, is trained on a data set, and leaves a state dict.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "compile/checkpoint/state_dict.h"
#include "compile/graph/graph.h"

namespace lockstep::train {

struct TrainOptions {
  std::string data = "fashion-mnist";  // fashion-mnist | idx:DIR | npy:X.npy,Y.npy | synthetic
  std::filesystem::path out;  // folder: state.pt, state.safetensors, log.jsonl, checkpoint.pt
  std::int64_t epochs = 1;
  std::int64_t batch_size = 64;
  double learning_rate = 1e-3;
  std::string optimizer = "adam";  // adam | sgd
  std::filesystem::path resume;    // a checkpoint.pt; empty: start afresh
  std::uint64_t seed = 1;
  int threads = 0;             // 0: LibTorch's choice
  std::string device = "cpu";  // the only one: anything else is refused
  bool quiet = false;
  const std::atomic<bool>* interrupted = nullptr;  // set by Ctrl-C: save a checkpoint and return
};

struct TrainResult {
  bool interrupted = false;
  double test_accuracy = 0.0;  // of the fake-quantized network, in [0, 1]
  std::int64_t test_images = 0;
  std::int64_t steps = 0;
};

// InputError for bad data, options or graph. Writes its files atomically.
TrainResult train_network(const Graph& graph, const TrainOptions& options);

}  // namespace lockstep::train
