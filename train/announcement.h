// What training says before its first step: the task, and what of it will not go as one may expect.
#pragma once

#include <cstdint>

#include "train/datasets/dataset.h"
#include "train/network.h"
#include "train/progress.h"
#include "train/recipe.h"

namespace lockstep::train {

struct TrainingTask {
  const Network& network;
  const datasets::Dataset& dataset;
  const Recipe& recipe;
  std::int64_t steps_per_epoch, steps_left, threads, processes;
};

// Warns of the reference BLAS, and of layers whose schedule does not end within the training, from
// where their counters stand.
void announce(const TrainingTask& task, Reporter& reporter);

}  // namespace lockstep::train
