#include "train/options.h"

#include <fmt/format.h>

#include <limits>

#include "compile/support/error.h"
#include "train/plural.h"

namespace lockstep::train {

void require_options(const Graph& graph, const TrainOptions& options) {
  if (options.device != "cpu")
    throw InputError(
        fmt::format("device '{}' is not available: this build trains on cpu", options.device));
  require_valid(options.recipe);
  if (options.checkpoint_every < 0)
    throw InputError(
        fmt::format("checkpoint every = {} steps, but it must be at least 1 (0: only "
                    "after each epoch)",
                    options.checkpoint_every));
  if (options.threads < 0 || options.threads > 1024)
    throw InputError(
        fmt::format("threads = {}, allowed are 0 (automatic) to 1024", options.threads));
  if (graph.inputs.size() != 1)
    throw InputError(fmt::format("graph '{}' has {} inputs; training needs one", graph.name,
                                 graph.inputs.size()));
}

void require_countable_steps(const Recipe& recipe, std::int64_t steps_per_epoch) {
  const std::int64_t most = std::numeric_limits<std::int32_t>::max() / steps_per_epoch;
  if (recipe.epochs > most)
    throw InputError(fmt::format("epochs = {}, but with {} each at most {} are possible",
                                 recipe.epochs, counted(steps_per_epoch, "step"), most));
}

void require_same_run(const std::filesystem::path& checkpoint, const TrainingState& earlier,
                      const TrainingState& now) {
  const auto same = [&](const std::string& what, const auto& then, const auto& here) {
    if (then != here)
      throw InputError(fmt::format(
          "{}: made with {} = {}, but this run has {}; a resumed run must have the same",
          checkpoint.string(), what, then, here));
  };
  same("data", earlier.data, now.data);
  same("threads", earlier.threads, now.threads);
  const RecipeDifference difference = first_difference(earlier.recipe, now.recipe);
  same(difference.member, difference.a, difference.b);
}

}  // namespace lockstep::train
