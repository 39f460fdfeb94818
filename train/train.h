// The training front door: a graph becomes a LibTorch module with QSPARSE's quantize and prune
// layers, is trained on a data set, and leaves a state dict.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "compile/graph/graph.h"
#include "train/group_options.h"
#include "train/recipe.h"

namespace lockstep::train {

struct TrainOptions {
  std::string data = "fashion-mnist";  // fashion-mnist | idx:DIR | npy:X.npy,Y.npy | synthetic
  // A folder for state.pt, state.safetensors, recipe.json, log.jsonl and checkpoint.pt. Of several
  // processes only rank 0 reads `weights` and `resume`, writes to `out` and tells of its progress.
  std::filesystem::path out;
  Recipe recipe;
  // Where to start from, at most one of them; none: the seed draws weights.
  std::filesystem::path weights;  // a state dict, of which only weights and biases count
  // A state dict with masks, decimals, counters and statistics: schedules go on where its counters
  // stand, and what they have finished stays. The optimizer and the recipe start afresh.
  std::filesystem::path state;
  std::filesystem::path resume;  // a checkpoint.pt: goes on as if it had not stopped
  // Resumes with another number of threads, processor, LibTorch or BLAS, too, with a warning: the
  // result may have other bits.
  bool resume_anyway = false;
  std::int64_t checkpoint_every = 0;  // steps; 0: only after each epoch
  int threads = 0;                    // 0: LibTorch's choice
  std::string device = "cpu";         // cpu, cuda or cuda:N
  GroupOptions group;                 // more than one process: each calls train_network
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
  std::string state_sha256;  // of this process's network as state.safetensors; empty if interrupted
};

// InputError for bad data, options or graph, for a folder that another training has, and where
// there are several processes, for one that has ended before the training, or differs. Writes its
// files atomically.
TrainResult train_network(const Graph& graph, const TrainOptions& options);

// Post-training quantization: masks and decimals for weights that were trained in float.
struct CalibrateOptions {
  std::string data;               // as of TrainOptions
  std::filesystem::path weights;  // a state dict: weights and biases count, masks and decimals not
  std::int64_t images = 1000;     // training images to look at, drawn by `seed`
  bool prune = true;              // false: all masks keep everything
  std::filesystem::path out;      // a folder for state.pt and state.safetensors
  std::uint64_t seed = 1;
  int threads = 0;
  std::string device = "cpu";
  bool quiet = false;
};

struct CalibrateResult {
  double float_accuracy = 0.0;  // before, in [0, 1]
  double test_accuracy = 0.0;   // of the pruned and fake-quantized network
  std::int64_t test_images = 0;
};

// In the order of the graph, each weight is pruned by magnitude and its decimals are searched, then
// each activation is pruned and its decimals are searched on what the layers before it, already
// calibrated, make of the images. Nothing is trained. InputError as for training.
CalibrateResult calibrate_network(const Graph& graph, const CalibrateOptions& options);

}  // namespace lockstep::train
