// The texts that lie beside a graph of the zoo: how to train it, and what to do with it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>

#include "compile/graph/shapes.h"
#include "tools/zoo/builder.h"
#include "tools/zoo/zoo.h"

namespace lockstep::zoo {
namespace {

constexpr std::int64_t kSyntheticImages = 3000, kSyntheticClasses = 10;
constexpr std::int64_t kLargeInput = 50000;  // elements from which on batches are small

std::int64_t element_count(const std::vector<std::int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

// Training wants one value per class, and synthetic data have ten classes.
enum class Training { kSynthetic, kOwnData, kNone };

Training training_of(const Graph& graph) {
  const std::vector<std::int64_t> output = infer_shapes(graph, graph.name).at(graph.outputs.at(0));
  if (output.size() != 1) return Training::kNone;
  return output[0] >= kSyntheticClasses ? Training::kSynthetic : Training::kOwnData;
}

std::string training_text(const Graph& graph) {
  const auto commands = [](std::string_view data) {
    return fmt::format(
        R"(Train it, or calibrate the weights of a float network (here those of `state.safetensors`, which are drawn):

```
lockstep train --graph graph.json --data {0} --recipe recipe.json --out trained
lockstep train --graph graph.json --data {0} --weights state.safetensors --calibrate 100 --out calibrated
```
)",
        data);
  };
  switch (training_of(graph)) {
    case Training::kSynthetic:
      return commands("synthetic");
    case Training::kOwnData:
      return "Synthetic data have ten classes, more than this network, so it needs data of its "
             "own.\n" +
             commands("npy:X.npy,Y.npy");
    case Training::kNone:
      break;
  }
  return "`lockstep train` trains classifiers, and this is none: its state is made without "
         "training, as\nabove, or comes from Python.\n";
}

std::string compiling_text(const GraphInput& input) {
  return fmt::format(R"(
Compile, check and run:

```
lockstep compile --graph graph.json --weights state.safetensors --out net.plan
lockstep verify --graph graph.json --weights state.safetensors --plan net.plan
lockstep run --plan net.plan --input x.npy --output y.npy
```

`x.npy` has shape [N, {}]: codes of {} bits, or float32 that are quantized with decimal {}.
)",
                     fmt::join(input.shape, ", "), input.bits, input.decimal);
}

constexpr std::string_view kFloatText =
    R"(This is the float network. Before it can be compiled it needs quantize nodes:

```
lockstep convert --graph graph.json --out quantized.json
```
)";

// As the command line takes them, each after a space.
std::string options_text(const NetworkOptions& options) {
  std::string text;
  if (!options.quantize) return " --float";
  if (options.bits != NetworkOptions{}.bits) text += fmt::format(" --bits {}", options.bits);
  if (options.per_channel) text += " --per-channel";
  if (options.sparsity > 0) text += fmt::format(" --prune {}", options.sparsity);
  if (options.structured) text += " --structured";
  return text;
}

}  // namespace

std::string recipe_text(const Graph& graph) {
  const bool large = element_count(graph.inputs.at(0).shape) >= kLargeInput;
  const std::int64_t batch_size = large ? 16 : 64;
  const std::int64_t epoch_steps = (kSyntheticImages + batch_size - 1) / batch_size;
  const nlohmann::ordered_json recipe = {
      {"format", "lockstep-recipe"},
      {"version", 1},
      {"epochs", (kTrainingSteps + epoch_steps - 1) / epoch_steps},
      {"batch_size", batch_size},
      {"seed", 1},
      {"optimizer", {{"type", "adam"}, {"lr", 0.001}}},
      {"schedule", {{"type", "cosine"}, {"warm_up", 0.02}, {"end_factor", 0.01}}}};
  return recipe.dump(1) + "\n";
}

std::string readme_text(const Network& network, const NetworkOptions& options) {
  const Graph graph = network.build(options);
  const NetworkSize size = size_of(graph);
  const GraphInput& input = graph.inputs.at(0);
  return fmt::format(
      R"(# {}
{} ({}). {} parameters, {} multiply-accumulates, input [{}].

A complete state dict without any training, the same on every machine:

```
lockstep zoo write {}{} --out . --state state.safetensors
```

{})",
      network.name, network.summary, network.source, size.parameters, size.macs,
      fmt::join(input.shape, ", "), network.name, options_text(options),
      options.quantize ? training_text(graph) + compiling_text(input) : std::string(kFloatText));
}

}  // namespace lockstep::zoo
