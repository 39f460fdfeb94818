// lockstep zoo: lists the networks of the zoo, and writes one of them with its recipe and, on
// request, a state dict that took no training.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>
#include <memory>
#include <span>

#include "compile/support/error.h"
#include "compile/support/files.h"
#include "tools/commands/command.h"
#include "tools/support/console.h"
#include "tools/support/options.h"
#include "tools/support/outputs.h"
#include "tools/support/table.h"
#include "tools/zoo/zoo.h"

namespace lockstep::cli {
namespace {

namespace fs = std::filesystem;

struct WriteArguments {
  std::string name;
  fs::path out, state;
  std::int64_t bits = zoo::NetworkOptions{}.bits;
  double sparsity = 0;
  bool per_channel = false, structured = false, is_float = false;
  std::uint64_t seed = 1;
  OutputOptions output;
};

int list(const OutputOptions& output) {
  using enum Table::Align;
  Console console(output);
  Table table({{"network", kLeft},
               {"input", kLeft},
               {"parameters", kRight},
               {"MACs", kRight},
               {"what it is", kLeft}});
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const zoo::Network& network : zoo::networks()) {
    const Graph graph = network.build({});
    const zoo::NetworkSize size = zoo::size_of(graph);
    const std::vector<std::int64_t>& shape = graph.inputs.at(0).shape;
    table.add_row({std::string(network.name), fmt::format("{}", fmt::join(shape, "x")),
                   fmt::to_string(size.parameters), fmt::to_string(size.macs),
                   std::string(network.summary)});
    rows.push_back({{"network", network.name},
                    {"input", shape},
                    {"parameters", size.parameters},
                    {"macs", size.macs},
                    {"summary", network.summary},
                    {"source", network.source}});
  }
  console.print(table.to_text());
  console.print_json({{"networks", std::move(rows)}});
  return kExitOk;
}

void require_consistent(const WriteArguments& arguments) {
  if (arguments.structured && arguments.sparsity == 0)
    throw InputError("--structured: says how to prune, so it needs --prune");
  const bool has_quantization = arguments.per_channel || arguments.sparsity > 0 ||
                                arguments.bits != zoo::NetworkOptions{}.bits;
  if (arguments.is_float && has_quantization)
    throw InputError(
        "--float: leaves out all quantization and pruning, so --bits, --per-channel and --prune "
        "cannot be given with it");
}

int write(const WriteArguments& arguments) {
  Console console(arguments.output);
  require_consistent(arguments);
  const zoo::Network& network = zoo::find_network(arguments.name);
  Outputs outputs({});
  outputs.make_folder(arguments.out);
  std::vector<fs::path> files;
  for (const char* const name : {"graph.json", "recipe.json", "README.md"}) {
    files.push_back(arguments.out / name);
    outputs.claim(files.back());
  }
  if (!arguments.state.empty()) outputs.claim(arguments.state);

  const zoo::NetworkOptions options = {.per_channel = arguments.per_channel,
                                       .bits = arguments.bits,
                                       .sparsity = arguments.sparsity,
                                       .structured = arguments.structured,
                                       .quantize = !arguments.is_float};
  const Graph graph = network.build(options);
  write_file_atomically(files[0], to_json(graph));
  write_file_atomically(files[1], zoo::recipe_text(graph));
  write_file_atomically(files[2], zoo::readme_text(network, options));
  if (!arguments.state.empty()) {
    const StateDict state = zoo::calibrated_state(graph, arguments.seed);
    const bool as_pt = arguments.state.extension() == ".pt";
    write_file_atomically(arguments.state,
                          std::span<const std::byte>(as_pt ? to_pt(state) : to_safetensors(state)));
    files.push_back(arguments.state);
  }
  outputs.keep();
  std::vector<std::string> names;
  for (const fs::path& file : files) names.push_back(file.string());
  console.print(fmt::format("wrote {}", fmt::join(names, ", ")));
  console.print_json({{"network", network.name}, {"files", names}});
  return kExitOk;
}

}  // namespace

Action add_zoo(CLI::App& verb) {
  verb.require_subcommand(1);
  auto list_output = std::make_shared<OutputOptions>();
  const CLI::App* const list_verb = [&] {
    CLI::App* const app = verb.add_subcommand("list", "Show all networks and their sizes");
    add_output_options(*app, *list_output);
    return app;
  }();
  auto arguments = std::make_shared<WriteArguments>();
  CLI::App& app = *verb.add_subcommand("write", "Write a network: graph.json, recipe.json, README");
  app.add_option("NAME", arguments->name, "A network that `lockstep zoo list` shows")->required();
  add_path(app, "--out", arguments->out, "The folder to write into", "DIR")->required();
  add_integer<std::int64_t>(app, "--bits", arguments->bits, 2, 16, "Of weights and activations");
  app.add_flag("--per-channel", arguments->per_channel,
               "A decimal for each channel of weights and activations, not one for the tensor");
  add_positive_real(app, "--prune", arguments->sparsity, 1,
                    "Prune this share of weights and activations", "SPARSITY");
  app.add_flag("--structured", arguments->structured, "With --prune: prune whole channels");
  app.add_flag("--float", arguments->is_float, "No quantization and no pruning: the float network");
  add_path(app, "--state", arguments->state,
           "Also draw weights, calibrate masks and decimals, and write the state dict", "STATE");
  add_integer<std::uint64_t>(app, "--seed", arguments->seed, 0,
                             std::numeric_limits<std::uint64_t>::max(), "Of the state dict");
  add_output_options(app, arguments->output);
  return [list_verb, list_output, arguments] {
    return list_verb->parsed() ? list(*list_output) : write(*arguments);
  };
}

}  // namespace lockstep::cli
