#include "tools/support/torch_sibling.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "compile/support/error.h"

namespace lockstep::cli {
namespace fs = std::filesystem;

int become_torch_sibling(char** argv) {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (error) throw InputError(fmt::format("/proc/self/exe: {}", error.message()));
  const fs::path beside = self.parent_path() / "lockstep-torch";
  const fs::path installed =
      (self.parent_path() / LOCKSTEP_BIN_TO_LIBEXEC / "lockstep" / "lockstep-torch")
          .lexically_normal();
  for (const fs::path& candidate : {beside, installed}) {
    if (!fs::exists(candidate, error)) continue;
    ::execv(candidate.c_str(), argv);
    throw InputError(fmt::format("{}: {}", candidate.string(), std::strerror(errno)));
  }
  throw InputError(
      fmt::format("{} needs lockstep-torch, which is neither {} nor {}; a build with "
                  "LibTorch makes it",
                  argv[1], beside.string(), installed.string()));
}

}  // namespace lockstep::cli
