// checkpoint.pt: everything that a training run needs to go on exactly as if it had not stopped.
//
// Random numbers need no state of their own: the order of the images, their augmentation and the
// dropout of a step follow from the recipe's seed and the step's number.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "train/machine.h"
#include "train/network.h"
#include "train/optimizer.h"
#include "train/recipe.h"

namespace lockstep::train {

struct TrainingState {
  // Of the run; a resumed run must have the same.
  std::string graph_json, data;
  Recipe recipe;
  std::int64_t threads = 0, world_size = 1;
  Machine machine;
  // Position: optimizer steps done, and the sums of the current epoch.
  std::int64_t step = 0;
  double loss_sum = 0;
  std::int64_t correct = 0, seen = 0;
  std::vector<OptimizerState> optimizer_states;  // in the order of Network::trainable()
};

// The network, the data that its layers have collected, and `training`. Atomic.
void write_checkpoint(const std::filesystem::path& path, const Network& network,
                      const TrainingState& training);

// Loads into `network` (made from the same graph) and returns the rest. InputError names the file
// and the entry that is missing, left over, or of a dtype, shape or number that the graph, the
// recipe and the layers' windows do not have.
TrainingState read_checkpoint(const std::filesystem::path& path, Network& network);
// The same from the file's entries.
TrainingState load_checkpoint(StateDict checkpoint, Network& network);

}  // namespace lockstep::train
