// What a training may be asked for, checked before any work is done.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "compile/graph/graph.h"
#include "train/checkpoint.h"
#include "train/train.h"

namespace lockstep::train {

// InputError unless every value is in its range and the graph has one input.
void require_options(const Graph& graph, const TrainOptions& options);
void require_options(const Graph& graph, const CalibrateOptions& options);

// InputError unless all steps together can be counted: the layers count in int32, as QSPARSE does.
void require_countable_steps(const Recipe& recipe, std::int64_t steps_per_epoch);

// InputError unless a checkpoint is of this training: its data and its recipe.
void require_same_run(const std::filesystem::path& checkpoint, const TrainingState& earlier,
                      const TrainingState& now);

// One sentence for each difference between a checkpoint and this run that may show in the last bits
// of float sums: processes, threads, processor, LibTorch, BLAS.
std::vector<std::string> rounding_differences(const std::filesystem::path& checkpoint,
                                              const TrainingState& earlier,
                                              const TrainingState& now);

}  // namespace lockstep::train
