#include "verify/differential/runtime_build.h"

#include <fmt/format.h>

#include "compile/support/files.h"
#include "verify/differential/child_process.h"
#include "verify/differential/harness_files.h"

namespace lockstep::verify {
namespace {

namespace fs = std::filesystem;

// At -O3 it takes a third more code on a Cortex-M4 and hardly fewer instructions.
constexpr const char* kFlags[] = {"-std=c++17",
                                  "-O2",
                                  "-ffreestanding",
                                  "-fno-exceptions",
                                  "-fno-rtti",
                                  "-fno-threadsafe-statics",
                                  "-ffunction-sections",
                                  "-fdata-sections",
                                  "-Wall",
                                  "-Wextra",
                                  "-Wconversion",
                                  "-Wshadow",
                                  "-Werror"};

// Folder by folder, so that none comes back after an interrupt has removed the one above.
void make_folders(const fs::path& above, const fs::path& relative) {
  fs::path folder = above;
  for (const fs::path& part : relative) {
    folder /= part;
    fs::create_directory(folder);
  }
}

}  // namespace

const std::string& RuntimeBuild::prepare(std::chrono::milliseconds timeout) {
  if (is_compiled_) return failure_;
  is_compiled_ = true;
  ChildOptions options;
  options.program = *find_program(std::string(target_.cxx_compiler));
  options.working_folder = folder_.path();
  options.timeout = timeout;
  for (const char* const flag : kFlags) options.arguments.emplace_back(flag);
  options.arguments.insert(options.arguments.end(), target_.flags.begin(), target_.flags.end());
  for (const std::string& flag : include_flags()) options.arguments.push_back(flag);
  options.arguments.emplace_back("-c");
  for (const HarnessFile& file : runtime_files()) {
    const fs::path path(file.path);
    make_folders(folder_.path(), path.parent_path());
    write_file_atomically(folder_.path() / path, file.text);
    if (path.extension() != ".cpp") continue;
    options.arguments.push_back(path.string());
    // The compiler puts it into its working folder.
    objects_.push_back((folder_.path() / path.stem()).string() + ".o");
  }
  const ChildResult result = run_child(options);
  if (!result.succeeded)
    failure_ = fmt::format("the runtime does not compile ({}): {}", result.description,
                           error_line(result.error_output));
  return failure_;
}

std::vector<std::string> RuntimeBuild::include_flags() const {
  return {"-I", folder_.path().string(), "-I", (folder_.path() / "intrt/include").string()};
}

}  // namespace lockstep::verify
