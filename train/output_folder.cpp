#include "train/output_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "compile/support/error.h"
#include "compile/support/files.h"

namespace lockstep::train {
namespace {

[[noreturn]] void fail(const std::filesystem::path& folder, const char* action,
                       const std::string& reason) {
  throw InputError(
      fmt::format("{}: cannot {} the output folder: {}", folder.string(), action, reason));
}

}  // namespace

OutputFolder::OutputFolder(const std::filesystem::path& folder)
    : state_pt(folder / "state.pt"),
      state_safetensors(folder / "state.safetensors"),
      log(folder / "log.jsonl"),
      checkpoint(folder / "checkpoint.pt"),
      recipe(folder / "recipe.json") {
  if (folder.empty()) throw InputError("train: no output folder given");
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error || !std::filesystem::is_directory(folder))
    fail(folder, "make", error ? error.message() : "something else has that name");
  descriptor_ = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0) fail(folder, "open", std::generic_category().message(errno));
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return;
  const int reason = errno;
  ::close(descriptor_);
  if (reason == EWOULDBLOCK)
    throw InputError(
        fmt::format("{}: another training is writing to this folder; wait for it or choose another "
                    "--out",
                    folder.string()));
  fail(folder, "lock", std::generic_category().message(reason));
}

OutputFolder::~OutputFolder() { ::close(descriptor_); }

void OutputFolder::remove_states() const {
  remove_old_output(state_pt);
  remove_old_output(state_safetensors);
}

void OutputFolder::remove_all() const {
  remove_states();
  for (const std::filesystem::path* const path : {&log, &checkpoint, &recipe})
    remove_old_output(*path);
}

}  // namespace lockstep::train
