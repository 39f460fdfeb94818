#include "train/options.h"

#include <fmt/format.h>

#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>

#include "compile/support/error.h"
#include "compile/support/printable.h"
#include "train/device.h"
#include "train/plural.h"

namespace lockstep::train {

namespace {

// What all that runs a network needs.
void require_runnable(const Graph& graph, const std::string& device, int threads) {
  open_device(device);
  if (threads < 0 || threads > 1024)
    throw InputError(fmt::format("threads = {}, allowed are 0 (automatic) to 1024", threads));
  if (graph.inputs.size() != 1)
    throw InputError(fmt::format("graph '{}' has {} inputs; training needs one", graph.name,
                                 graph.inputs.size()));
}

// Training replaces the files in its output folder. `what`: "these weights lie".
void require_elsewhere(const std::filesystem::path& file, const std::filesystem::path& out,
                       std::string_view what) {
  std::error_code error;  // of a path that does not exist: other messages name it
  if (std::filesystem::equivalent(std::filesystem::absolute(file, error).parent_path(), out, error))
    throw InputError(
        fmt::format("{}: {} in the output folder, whose files are replaced; choose another --out",
                    file.string(), what));
}

void require_one_start(const TrainOptions& options) {
  const auto is_given = [](const std::filesystem::path& file) { return file.empty() ? 0 : 1; };
  if (is_given(options.weights) + is_given(options.state) + is_given(options.resume) > 1)
    throw InputError("training starts from weights, from a state or from a checkpoint: give one");
}

}  // namespace

void require_options(const Graph& graph, const TrainOptions& options) {
  require_runnable(graph, options.device, options.threads);
  require_valid(options.recipe);
  require_valid(options.group);
  require_one_start(options);
  if (!options.weights.empty())
    require_elsewhere(options.weights, options.out, "these weights lie");
  if (!options.state.empty()) require_elsewhere(options.state, options.out, "this state lies");
  if (options.checkpoint_every < 0)
    throw InputError(
        fmt::format("checkpoint every = {} steps, but it must be at least 1 (0: only after each "
                    "epoch)",
                    options.checkpoint_every));
}

void require_options(const Graph& graph, const CalibrateOptions& options) {
  require_runnable(graph, options.device, options.threads);
  if (options.images < 1)
    throw InputError(
        fmt::format("calibrate = {} images, but it must be at least 1", options.images));
  if (options.weights.empty())
    throw InputError("calibrating needs the weights of a trained network");
  require_elsewhere(options.weights, options.out, "these weights lie");
}

void require_countable_steps(const Recipe& recipe, std::int64_t steps_per_epoch) {
  const std::int64_t most = std::numeric_limits<std::int32_t>::max() / steps_per_epoch;
  if (recipe.epochs > most)
    throw InputError(fmt::format("epochs = {}, but with {} each at most {} are possible",
                                 recipe.epochs, counted(steps_per_epoch, "step"), most));
}

namespace {

std::string difference(const std::filesystem::path& checkpoint, const std::string& what,
                       const std::string& then, const std::string& here) {
  return fmt::format("{}: made with {} = {}, but this run has {}", checkpoint.string(), what,
                     printable(then), printable(here));
}

}  // namespace

void require_same_run(const std::filesystem::path& checkpoint, const TrainingState& earlier,
                      const TrainingState& now) {
  const auto refuse = [&](const std::string& what, const std::string& then,
                          const std::string& here) {
    throw InputError(difference(checkpoint, what, then, here) +
                     "; a resumed run must have the same");
  };
  if (earlier.data != now.data) refuse("data", earlier.data, now.data);
  const RecipeDifference recipe = first_difference(earlier.recipe, now.recipe);
  if (!recipe.member.empty()) refuse(recipe.member, recipe.a, recipe.b);
}

std::vector<std::string> rounding_differences(const std::filesystem::path& checkpoint,
                                              const TrainingState& earlier,
                                              const TrainingState& now) {
  std::vector<std::string> found;
  const auto compare = [&](const char* what, const std::string& then, const std::string& here) {
    if (then != here) found.push_back(difference(checkpoint, what, then, here));
  };
  compare("world size", std::to_string(earlier.world_size), std::to_string(now.world_size));
  compare("threads", std::to_string(earlier.threads), std::to_string(now.threads));
  compare("device", earlier.machine.device, now.machine.device);
  compare("processor", earlier.machine.processor, now.machine.processor);
  compare("libtorch", earlier.machine.libtorch, now.machine.libtorch);
  compare("blas", earlier.machine.blas, now.machine.blas);
  return found;
}

}  // namespace lockstep::train
