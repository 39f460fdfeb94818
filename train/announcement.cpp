#include "train/announcement.h"

#include <fmt/format.h>

#include "train/blas.h"
#include "train/plural.h"

namespace lockstep::train {
namespace {

// What a layer counts in this run: its forwards have the numbers `first` to `end` - 1.
struct StepRange {
  std::int64_t first, end;

  std::string text() const {
    return first == 0 ? fmt::format("training has {}", counted(end, "step"))
                      : fmt::format("training takes it from step {} to {}", first, end);
  }
};

template <typename Layer>
StepRange step_range(const Layer& layer, std::int64_t steps_left) {
  const std::int64_t first = layer.initialised() ? layer.n_updates.template item<int>() : 0;
  return {first, first + steps_left};
}

// The first step at or after `range.first` at which the decimals are searched; -1: there is none.
std::int64_t next_search(const QuantizeSpec& spec, const StepRange& range) {
  if (spec.timeout >= range.first) return spec.timeout;
  if (spec.interval <= 0) return -1;
  const std::int64_t behind = (range.first - spec.timeout) % spec.interval;
  return behind == 0 ? range.first : range.first + spec.interval - behind;
}

std::string quantize_warning(const QuantizeImpl& layer, const StepRange& range) {
  if (layer.quantized() || layer.timeout() < 0) return {};
  const std::int64_t search = next_search(layer.options().spec(), range);
  if (search >= 0 && search < range.end) return {};
  return fmt::format("timeout = {}, but {}: it will not be quantized", layer.timeout(),
                     range.text());
}

std::string prune_warning(const PruneImpl& layer, const StepRange& range) {
  const float wanted = static_cast<float>(layer.options().spec().sparsity);
  const float sparsity = layer.initialised() ? layer.current_sparsity.item<float>() : 0.0f;
  if (!layer.prunes() || sparsity >= wanted) return {};
  if (layer.last_step() >= range.end)
    return fmt::format("its pruning ends at step {}, but {}", layer.last_step(), range.text());
  if (layer.last_step() >= range.first) return {};
  return fmt::format("its pruning ended at step {}, but {}: it stays at a sparsity of {}",
                     layer.last_step(), range.text(), sparsity);
}

template <typename Layer>
void warn(const Layer& layer, const std::string& warning, Reporter& reporter) {
  if (!warning.empty())
    reporter.line(fmt::format("warning: layer '{}': {}", layer.label(), warning));
}

}  // namespace

void announce(const TrainingTask& task, Reporter& reporter) {
  const datasets::Dataset& data = task.dataset;
  reporter.line(
      fmt::format("training '{}' on {}: {} training and {}, {} of {}, {}{}",
                  task.network.graph().name, data.source, data.train.count(),
                  counted(data.test.count(), "test image"), counted(task.recipe.epochs, "epoch"),
                  counted(task.steps_per_epoch, "step"), counted(task.threads, "thread"),
                  task.processes > 1 ? fmt::format(" in each of {} processes", task.processes)
                                     : std::string()));
  if (!has_optimized_blas())
    reporter.line(
        "warning: LibTorch runs on the reference BLAS, which is slow; install "
        "libopenblas0-pthread");
  for (const QuantizeImpl* const layer : task.network.quantize_layers())
    warn(*layer, quantize_warning(*layer, step_range(*layer, task.steps_left)), reporter);
  for (const PruneImpl* const layer : task.network.prune_layers())
    warn(*layer, prune_warning(*layer, step_range(*layer, task.steps_left)), reporter);
}

}  // namespace lockstep::train
