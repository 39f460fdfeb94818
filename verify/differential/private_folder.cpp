#include "verify/differential/private_folder.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <system_error>
#include <thread>

#include "compile/support/error.h"

namespace lockstep::verify {
namespace {

// Removes `folder` while others, who are just being killed, may still write into it. It stays gone:
// a folder is made by mkdtemp only.
void remove_from_under(const std::filesystem::path& folder) {
  constexpr int kTries = 200;
  std::error_code error;
  for (int i = 0; i < kTries; ++i) {
    std::filesystem::remove_all(folder, error);
    if (!std::filesystem::exists(folder, error)) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace

PrivateFolder::PrivateFolder() {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::temp_directory_path(error);
  std::string name =
      ((error ? std::filesystem::path("/tmp") : parent) / "lockstep-XXXXXX").string();
  const InterruptHold hold;
  if (mkdtemp(name.data()) == nullptr)
    throw InputError(
        fmt::format("{}: cannot make a temporary folder: {}", name, std::strerror(errno)));
  path_ = name;
  undo_.emplace(hold, [folder = path_] { remove_from_under(folder); });
}

PrivateFolder::~PrivateFolder() {
  std::error_code ignored;  // nothing more can be done about a folder that cannot be removed
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace lockstep::verify
