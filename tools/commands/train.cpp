// lockstep train: options and Ctrl-C; the work is train/train.h's.
#include "train/train.h"

#include <csignal>
#include <memory>

#include "tools/commands/command.h"
#include "tools/support/console.h"

namespace lockstep::cli {
namespace {

struct TrainArguments {
  std::filesystem::path graph;
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

int train_graph(const TrainArguments& arguments) {
  Console console(arguments.output);
  train::TrainOptions options = arguments.options;
  options.quiet = arguments.output.quiet;  // its text goes to standard error
  options.interrupted = &interrupted;
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
                  "Folder for state.pt, state.safetensors, checkpoint.pt and log.jsonl")
      ->required()
      ->type_name("DIR");
  verb.add_option("--epochs", options.epochs, "Passes over the training images")
      ->capture_default_str()
      ->type_name("N");
  verb.add_option("--batch-size", options.batch_size, "Images per step")
      ->capture_default_str()
      ->type_name("N");
  verb.add_option("--lr", options.learning_rate, "Learning rate")
      ->capture_default_str()
      ->type_name("X");
  verb.add_option("--optimizer", options.optimizer, "adam or sgd")
      ->capture_default_str()
      ->type_name("NAME");
  verb.add_option("--resume", options.resume, "Go on from this checkpoint")
      ->type_name("checkpoint.pt");
  verb.add_option("--seed", options.seed, "Same seed and thread count: same bits")
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
