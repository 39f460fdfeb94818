// The training front door: a graph becomes a LibTorch module with QSPARSE's quantize and prune
// layers, is trained on a data set, and leaves a state dict.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "compile/graph/graph.h"
#include "train/recipe.h"

namespace lockstep::train {

struct TrainOptions {
  std::string data = "fashion-mnist";  // fashion-mnist | idx:DIR | npy:X.npy,Y.npy | synthetic
  // A folder for state.pt, state.safetensors, recipe.json, log.jsonl and checkpoint.pt.
  std::filesystem::path out;
  Recipe recipe;
  std::filesystem::path resume;       // a checkpoint.pt; empty: start afresh
  std::int64_t checkpoint_every = 0;  // steps; 0: only after each epoch
  int threads = 0;                    // 0: LibTorch's choice
  std::string device = "cpu";         // the only one: anything else is refused
  bool quiet = false;
  const std::atomic<bool>* interrupted = nullptr;  // set by Ctrl-C: save a checkpoint and return
  // Called just before the first step; from then on `interrupted` is looked at. May be empty.
  std::function<void()> started;
};

struct TrainResult {
  bool interrupted = false;
  double test_accuracy = 0.0;  // of the fake-quantized network, in [0, 1]
  std::int64_t test_images = 0;
  std::int64_t steps = 0;
};

// InputError for bad data, options or graph, and for a folder that another training has. Writes its
// files atomically.
TrainResult train_network(const Graph& graph, const TrainOptions& options);

}  // namespace lockstep::train
