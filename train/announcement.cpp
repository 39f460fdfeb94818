#include "train/announcement.h"

#include <fmt/format.h>

#include "train/blas.h"
#include "train/plural.h"

namespace lockstep::train {

void announce(const TrainingTask& task, Reporter& reporter) {
  const datasets::Dataset& data = task.dataset;
  reporter.line(
      fmt::format("training '{}' on {}: {} training and {}, {} of {}, {}",
                  task.network.graph().name, data.source, data.train.count(),
                  counted(data.test.count(), "test image"), counted(task.recipe.epochs, "epoch"),
                  counted(task.steps_per_epoch, "step"), counted(task.threads, "thread")));
  if (!has_optimized_blas())
    reporter.line(
        "warning: LibTorch runs on the reference BLAS, which is slow; install "
        "libopenblas0-pthread");
  const std::int64_t total = task.recipe.epochs * task.steps_per_epoch;
  for (const QuantizeImpl* const layer : task.network.quantize_layers())
    if (layer->timeout() >= total)
      reporter.line(
          fmt::format("warning: layer '{}': timeout = {}, but training has {}: it will not be "
                      "quantized",
                      layer->label(), layer->timeout(), counted(total, "step")));
  for (const PruneImpl* const layer : task.network.prune_layers())
    if (layer->prunes() && layer->last_step() >= total)
      reporter.line(
          fmt::format("warning: layer '{}': its pruning ends at step {}, but training has {}",
                      layer->label(), layer->last_step(), counted(total, "step")));
}

}  // namespace lockstep::train
