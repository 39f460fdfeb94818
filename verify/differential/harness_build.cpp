#include "verify/differential/harness_build.h"

#include <fmt/format.h>

#include "compile/support/files.h"
#include "verify/differential/c_runner.h"
#include "verify/differential/child_process.h"
#include "verify/differential/harness_files.h"

namespace lockstep::verify {
namespace {

namespace fs = std::filesystem;

// Folders are made one by one, so that none comes back after an interrupt has removed the one
// above.
void write_harness(const fs::path& folder) {
  fs::create_directory(folder);
  for (const HarnessFile& file : harness_files()) {
    fs::create_directory((folder / file.path).parent_path());
    write_file_atomically(folder / file.path, file.text);
  }
}

std::vector<std::string> flags_for(const CTarget& target, const fs::path& harness) {
  std::vector<std::string> flags = {"-std=c99",          "-Wall",     "-Wextra",
                                    "-Wconversion",      "-pedantic", "-Werror",
                                    target.optimization, "-I",        harness.string()};
  flags.insert(flags.end(), target.flags.begin(), target.flags.end());
  if (target.emulated == nullptr) return flags;
  flags.insert(flags.end(), target.emulated->flags.begin(), target.emulated->flags.end());
  if (target.emulated->memory) {
    for (const char* flag : {"-nostdlib", "-ffunction-sections", "-isystem"})
      flags.emplace_back(flag);
    flags.push_back((harness / "freestanding").string());
  }
  return flags;
}

// The files beside those that know the network.
std::vector<std::string> common_sources(const CTarget& target) {
  if (target.emulated == nullptr) return {"io_host.c"};
  if (!target.emulated->memory) return {"io_host.c", "measured_call.S"};
  return {std::string(target.emulated->startup), "bare.c", "io_bare.c", "measured_call.S"};
}

}  // namespace

const std::string& HarnessBuild::prepare(const CTarget& target, std::chrono::milliseconds timeout) {
  if (folder_) return failure_;
  folder_.emplace();
  failure_ = "the harness is not complete";  // so it stays where something below throws
  write_harness(folder());
  flags_ = flags_for(target, folder());
  ChildOptions options;
  options.program = *find_program(target.compiler);
  options.working_folder = folder_->path();
  options.timeout = timeout;
  options.arguments = flags_;
  options.arguments.emplace_back("-c");
  for (const std::string& source : common_sources(target)) {
    options.arguments.push_back((folder() / source).string());
    // The compiler puts it into its working folder.
    objects_.push_back((folder_->path() / fs::path(source).stem()).string() + ".o");
  }
  const ChildResult result = run_child(options);
  failure_ = result.succeeded ? ""
                              : fmt::format("the harness does not compile ({}): {}",
                                            result.description, error_line(result.error_output));
  return failure_;
}

}  // namespace lockstep::verify
