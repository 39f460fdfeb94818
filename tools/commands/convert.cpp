// lockstep convert: a float graph becomes one that trains with quantization and pruning, and on
// request its batch norms are folded into the layers before them first.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <span>

#include "compile/checkpoint/state_dict.h"
#include "compile/support/error.h"
#include "compile/support/files.h"
#include "tools/commands/command.h"
#include "tools/support/console.h"
#include "tools/support/options.h"
#include "tools/support/outputs.h"
#include "train/convert_graph.h"
#include "train/fuse_batch_norm.h"

namespace lockstep::cli {
namespace {

namespace fs = std::filesystem;

struct ConvertArguments {
  fs::path graph, out, policy, weights, out_weights;
  bool fuse_batch_norm = false;
  OutputOptions output;
};

void require_consistent(const ConvertArguments& arguments) {
  if (arguments.fuse_batch_norm != !arguments.weights.empty() ||
      arguments.weights.empty() != arguments.out_weights.empty())
    throw InputError(
        "--fuse-batch-norm, --weights and --out-weights belong together: folding changes weights");
}

int convert(const ConvertArguments& arguments) {
  Console console(arguments.output);
  require_consistent(arguments);
  Outputs outputs({arguments.graph, arguments.policy, arguments.weights});
  outputs.claim(arguments.out);
  if (arguments.fuse_batch_norm) outputs.claim(arguments.out_weights);

  Graph graph = read_graph(arguments.graph);
  const std::size_t nodes_before = graph.nodes.size();
  train::ConversionPolicy policy;
  if (!arguments.policy.empty()) policy = train::read_policy(arguments.policy);
  std::vector<std::string> folded;
  if (arguments.fuse_batch_norm) {
    train::FusedNetwork fused =
        train::fuse_batch_norm(std::move(graph), read_state_dict(arguments.weights));
    graph = std::move(fused.graph);
    folded = std::move(fused.folded);
    write_file_atomically(arguments.out_weights,
                          std::span<const std::byte>(to_safetensors(fused.state)));
    console.print(fmt::format("folded {} batch norms{}{}", folded.size(),
                              folded.empty() ? "" : ": ", fmt::join(folded, ", ")));
  }
  graph = train::convert_graph(std::move(graph), policy);
  const std::string text = to_json(graph);
  write_file_atomically(arguments.out, std::as_bytes(std::span(text)));
  outputs.keep();
  console.print(fmt::format("wrote {}: {} nodes, from {}", arguments.out.string(),
                            graph.nodes.size(), nodes_before));
  console.print_json({{"out", arguments.out.string()},
                      {"nodes", graph.nodes.size()},
                      {"folded_batch_norms", folded}});
  return kExitOk;
}

}  // namespace

Action add_convert(CLI::App& verb) {
  auto arguments = std::make_shared<ConvertArguments>();
  add_path(verb, "--graph", arguments->graph, "The float network", "graph.json")->required();
  add_path(verb, "--out", arguments->out, "The graph to write", "graph.json")->required();
  add_path(verb, "--policy", arguments->policy,
           "What to insert; left out: quantize everything, prune nothing", "policy.json");
  verb.add_flag("--fuse-batch-norm", arguments->fuse_batch_norm,
                "First fold batch norms into the layers before them");
  add_path(verb, "--weights", arguments->weights,
           "For --fuse-batch-norm: the trained float state dict", "STATE");
  add_path(verb, "--out-weights", arguments->out_weights,
           "For --fuse-batch-norm: the state dict to write", "net.safetensors");
  add_output_options(verb, arguments->output);
  return [arguments] { return convert(*arguments); };
}

}  // namespace lockstep::cli
