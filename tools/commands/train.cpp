// lockstep train: options and interrupts; the work is train/train.h's.
#include "train/train.h"

#include <fmt/format.h>

#include <cstdlib>
#include <limits>
#include <memory>
#include <optional>

#include "compile/graph/shapes.h"
#include "compile/support/interruption.h"
#include "tools/commands/command.h"
#include "tools/support/console.h"
#include "tools/support/file_names.h"
#include "tools/support/options.h"
#include "train/output_folder.h"

namespace lockstep::cli {
namespace {

// Options that a recipe also sets; those that are given win.
struct RecipeOptions {
  std::filesystem::path file;
  std::optional<std::int64_t> epochs, batch_size;
  std::optional<double> learning_rate;
  std::optional<std::string> optimizer;
  std::optional<std::uint64_t> seed;
};

// Where --world-size is not given, the environment says what the group is.
struct GroupArguments {
  std::optional<std::int64_t> world_size, rank;
  std::string init_method;
  std::int64_t timeout_seconds = train::GroupOptions().timeout_seconds;
};

struct TrainArguments {
  std::filesystem::path graph;
  GroupArguments group;
  RecipeOptions recipe;
  train::TrainOptions options;
  std::optional<std::int64_t> calibrate;  // images; empty: train
  bool without_pruning = false;
  OutputOptions output;
};

train::Recipe read_recipe(const RecipeOptions& options) {
  train::Recipe recipe = options.file.empty() ? train::Recipe() : train::read_recipe(options.file);
  if (options.optimizer) {
    const train::OptimizerKind kind = train::parse_optimizer(*options.optimizer);
    if (kind != recipe.optimizer.kind) recipe.optimizer = train::default_optimizer(kind);
  }
  recipe.epochs = options.epochs.value_or(recipe.epochs);
  recipe.batch_size = options.batch_size.value_or(recipe.batch_size);
  recipe.seed = options.seed.value_or(recipe.seed);
  recipe.optimizer.learning_rate = options.learning_rate.value_or(recipe.optimizer.learning_rate);
  return recipe;
}

train::GroupOptions group_of(const GroupArguments& arguments) {
  train::GroupOptions group;
  if (arguments.world_size) {
    group.world_size = *arguments.world_size;
    if (group.world_size > 1 && !arguments.rank)
      throw InputError(fmt::format("--world-size {} needs --rank", group.world_size));
    group.rank = arguments.rank.value_or(0);
    group.init_method = arguments.init_method;
  } else {
    group = train::group_from_environment([](const char* name) { return std::getenv(name); });
  }
  group.timeout_seconds = arguments.timeout_seconds;
  require_valid(group);
  return group;
}

int calibrate_graph(const TrainArguments& arguments) {
  if (const std::int64_t size = group_of(arguments.group).world_size; size > 1)
    throw InputError(fmt::format("world size = {}, but --calibrate is for one process", size));
  Console console(arguments.output);
  const train::TrainOptions& shared = arguments.options;
  const Graph graph = read_graph(arguments.graph);
  const train::CalibrateResult result = naming_files(arguments.graph.string(), [&] {
    return train::calibrate_network(graph, {.data = shared.data,
                                            .weights = shared.weights,
                                            .images = *arguments.calibrate,
                                            .prune = !arguments.without_pruning,
                                            .out = shared.out,
                                            .seed = arguments.recipe.seed.value_or(1),
                                            .threads = shared.threads,
                                            .device = shared.device,
                                            .quiet = arguments.output.quiet});
  });
  console.print_json({{"out", shared.out.string()},
                      {"float_accuracy", result.float_accuracy},
                      {"test_accuracy", result.test_accuracy},
                      {"test_images", result.test_images}});
  return kExitOk;
}

int train_graph(const TrainArguments& arguments) {
  Console console(arguments.output);
  train::TrainOptions options = arguments.options;
  options.quiet = arguments.output.quiet;  // its text goes to standard error
  options.group = group_of(arguments.group);
  const bool writes_files = options.group.rank == 0;
  // Before the first step there is nothing to save, so an interrupt then ends the process at once.
  std::atomic<bool> interrupted{false};
  std::optional<GracefulInterrupt> graceful;
  options.interrupted = &interrupted;
  options.started = [&] { graceful.emplace(interrupted); };
  // An old state must not look new when graph or recipe are bad; the rest goes when training
  // begins. What to start from is read first: a file in this folder is refused.
  if (writes_files && options.resume.empty() && options.weights.empty() && options.state.empty())
    train::OutputFolder(options.out).remove_states();
  options.recipe = read_recipe(arguments.recipe);
  const Graph graph = read_graph(arguments.graph);
  infer_shapes(graph, arguments.graph.string());
  if (options.group.world_size > 1)
    naming_files(arguments.graph.string(), [&] { train::require_shareable_layers(graph); });
  const train::TrainResult result =
      naming_files(arguments.graph.string(), [&] { return train::train_network(graph, options); });

  console.print_json({{"out", options.out.string()},
                      {"interrupted", result.interrupted},
                      {"test_accuracy", result.test_accuracy},
                      {"test_images", result.test_images},
                      {"steps", result.steps},
                      {"state_sha256", result.state_sha256}});
  if (!result.interrupted) return kExitOk;
  write_standard_error(
      writes_files ? fmt::format("lockstep: interrupted after step {}; continue with --resume {}\n",
                                 result.steps, (options.out / "checkpoint.pt").string())
                   : fmt::format("lockstep: interrupted after step {}; rank 0 has the checkpoint\n",
                                 result.steps));
  return kExitInterrupted;
}

}  // namespace

Action add_train(CLI::App& verb) {
  auto arguments = std::make_shared<TrainArguments>();
  train::TrainOptions& options = arguments->options;
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  add_path(verb, "--graph", arguments->graph, "The network", "graph.json")->required();
  verb.add_option("--data", options.data,
                  "fashion-mnist, idx:DIR (MNIST's files), npy:X.npy,Y.npy or synthetic")
      ->required()
      ->type_name("DATA");
  add_path(verb, "--out", options.out,
           "Folder for the states, the recipe, the checkpoint and the log", "DIR")
      ->required();
  RecipeOptions& recipe = arguments->recipe;
  add_path(verb, "--recipe", recipe.file, "How to train; the options below override it",
           "recipe.json");
  auto* const recipe_file = verb.get_option("--recipe");
  auto* const epochs =
      add_integer(verb, "--epochs", recipe.epochs, 1, kMost, "Passes over the training images [1]");
  add_integer(verb, "--batch-size", recipe.batch_size, 1, kMost, "Images per step [64]");
  verb.add_option("--optimizer", recipe.optimizer, "adadelta, adam, adamw or sgd [adam]")
      ->check(CLI::IsMember({"adadelta", "adam", "adamw", "sgd"}))
      ->type_name("NAME");
  add_positive_real(verb, "--lr", recipe.learning_rate, std::numeric_limits<float>::max(),
                    "Learning rate [adam: 0.001]", "X");
  add_integer(verb, "--seed", recipe.seed, 0, std::numeric_limits<std::uint64_t>::max(),
              "Same seed and thread count: same bits [1]");
  auto* const resume =
      add_path(verb, "--resume", options.resume, "Go on from this checkpoint", "checkpoint.pt");
  verb.add_flag(
          "--resume-anyway", options.resume_anyway,
          "Also with other threads, processes, device, processor or libraries: the bits may differ")
      ->needs(resume);
  add_integer(verb, "--checkpoint-every", options.checkpoint_every, 0, kMost,
              "Steps between checkpoints; 0: one after each epoch");
  add_integer(verb, "--threads", options.threads, 0, 1024, "0: LibTorch's choice");
  verb.add_option("--device", options.device, "cpu, cuda or cuda:N; where LibTorch has CUDA")
      ->capture_default_str()
      ->type_name("NAME");
  auto* const weights = add_path(verb, "--weights", options.weights,
                                 "Start from the weights and biases of this state dict", "FILE")
                            ->excludes(resume);
  auto* const state =
      add_path(verb, "--state", options.state,
               "Train on from this whole state dict: masks, decimals and counters, too", "FILE")
          ->excludes(resume)
          ->excludes(weights);
  auto* const calibrate =
      add_integer(verb, "--calibrate", arguments->calibrate, 1, kMost,
                  "Do not train: find masks and decimals for --weights on N training images")
          ->needs(weights)
          ->excludes(epochs)
          ->excludes(recipe_file)
          ->excludes(state);
  for (const char* const name : {"--batch-size", "--optimizer", "--lr", "--checkpoint-every"})
    calibrate->excludes(verb.get_option(name));
  verb.add_flag("--no-pruning", arguments->without_pruning, "With --calibrate: prune nothing")
      ->needs(calibrate);
  GroupArguments& group = arguments->group;
  auto* const world_size = add_integer(
      verb, "--world-size", group.world_size, 1, train::kMostProcesses,
      "Processes, each with its --rank; not given: as WORLD_SIZE, RANK, MASTER_ADDR and "
      "MASTER_PORT say [1]");
  add_integer(verb, "--rank", group.rank, 0, train::kMostProcesses - 1,
              "This process's number; 0 writes the files")
      ->needs(world_size);
  verb.add_option("--init-method", group.init_method,
                  "Where they meet: tcp://HOST:PORT of rank 0, or file:///PATH")
      ->needs(world_size)
      ->type_name("URL");
  add_integer(verb, "--group-timeout", group.timeout_seconds, 1, train::kMostGroupSeconds,
              "Seconds for which they wait for each other");
  add_output_options(verb, arguments->output);
  return [arguments] {
    return arguments->calibrate ? calibrate_graph(*arguments) : train_graph(*arguments);
  };
}

}  // namespace lockstep::cli
