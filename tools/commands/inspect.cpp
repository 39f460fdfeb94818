// lockstep inspect: what an artifact holds. The kind is told by the content, not by the file's
// name.
#include <memory>

#include "compile/support/files.h"
#include "tools/commands/command.h"
#include "tools/inspect/inspect.h"
#include "tools/support/console.h"
#include "tools/support/options.h"

namespace lockstep::cli {
namespace {

struct InspectOptions {
  std::filesystem::path file;
  OutputOptions output;
};

int inspect(const InspectOptions& options) {
  Console console(options.output);
  switch (artifact_kind(options.file.string(), read_file(options.file))) {
    case ArtifactKind::kPlan:
      inspect_plan(options.file, console);
      break;
    case ArtifactKind::kGraph:
      inspect_graph(options.file, console);
      break;
    case ArtifactKind::kStateDict:
      inspect_state_dict(options.file, console);
      break;
  }
  return kExitOk;
}

}  // namespace

Action add_inspect(CLI::App& verb) {
  auto options = std::make_shared<InspectOptions>();
  add_path(verb, "file", options->file, "A state dict, a graph.json or a plan", "FILE")->required();
  add_output_options(verb, options->output);
  return [options] { return inspect(*options); };
}

}  // namespace lockstep::cli
