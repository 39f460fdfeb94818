#include "tools/support/outputs.h"

#include <fmt/format.h>

#include <system_error>

#include "compile/support/error.h"
#include "compile/support/files.h"

namespace lockstep::cli {
namespace fs = std::filesystem;

namespace {

bool same_file(const fs::path& a, const fs::path& b) {
  std::error_code error;
  if (fs::equivalent(a, b, error)) return true;
  return fs::weakly_canonical(a, error) == fs::weakly_canonical(b, error);
}

// A device stays, and so does /dev/stdout, which is a link.
void remove_written(const fs::path& path) {
  std::error_code error;
  if (fs::is_regular_file(fs::symlink_status(path, error))) fs::remove(path, error);
}

}  // namespace

Outputs::Outputs(std::vector<fs::path> inputs)
    : inputs_(std::move(inputs)), undo_(InterruptHold(), [this] { remove_claimed(); }) {}

Outputs::~Outputs() { remove_claimed(); }

void Outputs::keep() {
  const InterruptHold hold;
  claimed_.clear();
}

void Outputs::claim(const fs::path& path) {
  for (const fs::path& input : inputs_)
    if (same_file(path, input))
      throw InputError(
          fmt::format("{}: is an input of this command and cannot be its output", path.string()));
  const fs::path file = replaced_file(path).value_or(path);
  for (const fs::path& output : claimed_)
    if (same_file(file, output))
      throw InputError(fmt::format("{}: is named for two outputs", path.string()));
  remove_old_output(path);
  const InterruptHold hold;
  claimed_.push_back(file);
}

void Outputs::remove_claimed() const {
  for (const fs::path& file : claimed_) remove_written(file);
}

void Outputs::make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw InputError(fmt::format("{}: {}", folder.string(), error.message()));
  if (!fs::is_directory(folder, error))
    throw InputError(fmt::format("{}: not a folder", folder.string()));
}

}  // namespace lockstep::cli
