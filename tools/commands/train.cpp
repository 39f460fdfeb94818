// lockstep train: options and Ctrl-C; the work is train/train.h's.
#include "train/train.h"

#include <csignal>
#include <memory>
#include <optional>

#include "tools/commands/command.h"
#include "tools/support/console.h"

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

struct TrainArguments {
  std::filesystem::path graph;
  RecipeOptions recipe;
  train::TrainOptions options;
  OutputOptions output;
};

// Signal handlers reach nothing but globals.
std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void interrupt(int) { interrupted = true; }

// The first Ctrl-C asks training to save a checkpoint; a second one ends the process at once. A
// signal that the caller has this process ignore, as a script's background job does SIGINT, stays
// so.
void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = interrupt;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int signal : {SIGINT, SIGTERM}) {
    struct sigaction old {};
    if (::sigaction(signal, nullptr, &old) == 0 && old.sa_handler != SIG_IGN)
      ::sigaction(signal, &action, nullptr);
  }
}

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

int train_graph(const TrainArguments& arguments) {
  Console console(arguments.output);
  train::TrainOptions options = arguments.options;
  options.quiet = arguments.output.quiet;  // its text goes to standard error
  options.interrupted = &interrupted;
  options.recipe = read_recipe(arguments.recipe);
  const Graph graph = read_graph(arguments.graph);
  catch_interrupts();
  const train::TrainResult result = train::train_network(graph, options);

  console.print_json({{"out", options.out.string()},
                      {"interrupted", result.interrupted},
                      {"test_accuracy", result.test_accuracy},
                      {"test_images", result.test_images},
                      {"steps", result.steps}});
  return result.interrupted ? kExitInterrupted : kExitOk;
}

}  // namespace

Action add_train(CLI::App& verb) {
  auto arguments = std::make_shared<TrainArguments>();
  train::TrainOptions& options = arguments->options;
  verb.add_option("--graph", arguments->graph, "The network")->required()->type_name("graph.json");
  verb.add_option("--data", options.data,
                  "fashion-mnist, idx:DIR (MNIST's files), npy:X.npy,Y.npy or synthetic")
      ->required()
      ->type_name("DATA");
  verb.add_option("--out", options.out,
                  "Folder for the states, the recipe, the checkpoint and the log")
      ->required()
      ->type_name("DIR");
  RecipeOptions& recipe = arguments->recipe;
  verb.add_option("--recipe", recipe.file, "How to train; the options below override it")
      ->type_name("recipe.json");
  verb.add_option("--epochs", recipe.epochs, "Passes over the training images [1]")->type_name("N");
  verb.add_option("--batch-size", recipe.batch_size, "Images per step [64]")->type_name("N");
  verb.add_option("--optimizer", recipe.optimizer, "adadelta, adam, adamw or sgd [adam]")
      ->type_name("NAME");
  verb.add_option("--lr", recipe.learning_rate, "Learning rate [adam: 0.001]")->type_name("X");
  verb.add_option("--seed", recipe.seed, "Same seed and thread count: same bits [1]")
      ->type_name("N");
  verb.add_option("--resume", options.resume, "Go on from this checkpoint")
      ->type_name("checkpoint.pt");
  verb.add_option("--checkpoint-every", options.checkpoint_every,
                  "Steps between checkpoints; 0: one after each epoch")
      ->capture_default_str()
      ->type_name("N");
  verb.add_option("--threads", options.threads, "0: LibTorch's choice")
      ->capture_default_str()
      ->type_name("N");
  verb.add_option("--device", options.device, "cpu")->capture_default_str()->type_name("NAME");
  add_output_options(verb, arguments->output);
  return [arguments] { return train_graph(*arguments); };
}

}  // namespace lockstep::cli
