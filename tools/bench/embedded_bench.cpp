// What generated C costs on microcontrollers: tools/bench/README.md.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>

#include "compile/compile.h"
#include "compile/support/error.h"
#include "compile/support/files.h"
#include "tools/bench/embedded_layers.h"

namespace lockstep::bench {
namespace {

namespace fs = std::filesystem;

void write_case(const fs::path& folder, const EmbeddedCase& one,
                const std::vector<std::string>& targets) {
  fs::create_directories(folder);
  write_file_atomically(folder / "graph.json", to_json(one.graph));
  write_file_atomically(folder / "state.safetensors", to_safetensors(one.state));
  const Compiled compiled = compile_network(one.graph, one.state, {});
  write_file_atomically(folder / "net.plan", compiled.plan);
  for (const std::string& target : targets) {
    const fs::path c_folder = folder / ("c_" + target);
    fs::create_directories(c_folder);
    for (const CSourceFile& file : emit_c(compiled, {.prefix = "net", .target = target}))
      write_file_atomically(c_folder / file.name, file.text);
  }
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) {
  using namespace lockstep;
  namespace fs = std::filesystem;
  CLI::App app("Measures generated C on emulated microcontrollers.");
  fs::path folder;
  std::vector<std::string> targets = c_targets(), names = bench::embedded_cases();
  double sparsity = 0;
  app.add_option("--write", folder, "Write graphs, states, plans and C into this folder")
      ->required();
  app.add_option("--targets", targets, "Cores")->delimiter(',');
  app.add_option("--cases", names, "Layers and networks")->delimiter(',');
  app.add_option("--prune", sparsity, "Share of the weights that is pruned");
  CLI11_PARSE(app, argc, argv);
  try {
    for (const std::string& name : names)
      bench::write_case(folder / name, bench::embedded_case(name, sparsity), targets);
  } catch (const InputError& error) {
    fmt::print(stderr, "{}\n", error.what());
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
