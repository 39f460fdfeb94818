// A network's state as a state dict, and training's own checkpoint. Written with LibTorch's pickle,
// read by compile/checkpoint's reader, which checks every byte.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "compile/checkpoint/state_dict.h"
#include "train/network.h"
#include "train/optimizer.h"

namespace lockstep::train {

// The network's entries, copied, in order.
StateDict to_state_dict(const Network& network);

// Loads an equal network's entries. Prune and quantize entries adopt the file's shapes, so no
// forward is needed before. InputError names the file and the key for a missing or extra key, a
// wrong dtype or shape, a layer that is only partly initialised, and impossible bits or counters.
void load_state(Network& network, const StateDict& state, const std::string& name_for_errors);

// A zip archive that Python's torch.load reads as a dict of tensors, in order. Atomic.
void write_pt(const std::filesystem::path& path, const StateDict& state);

// Everything that a training run needs to go on exactly as if it had not stopped.
struct TrainingState {
  // Of the run; a resumed run must have the same.
  std::string graph_json, data, optimizer;
  std::int64_t batch_size = 0, threads = 0;
  std::uint64_t seed = 0;
  double learning_rate = 0;
  // Position: optimizer steps done, and the sums of the current epoch.
  std::int64_t step = 0, epochs = 0;
  double loss_sum = 0;
  std::int64_t correct = 0, seen = 0;
  std::vector<OptimizerState> optimizer_states;  // in the order of Network::trainable()
};

// checkpoint.pt: the network, the layers' collected data and `training`. Atomic.
void write_checkpoint(const std::filesystem::path& path, const Network& network,
                      const TrainingState& training);

// Loads into `network` (made from the same graph) and returns the rest. InputError names the file
// and what does not fit.
TrainingState read_checkpoint(const std::filesystem::path& path, Network& network);

}  // namespace lockstep::train
