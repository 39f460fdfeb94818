#include "tools/support/sibling.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "compile/support/error.h"

namespace lockstep::cli {
namespace fs = std::filesystem;

int become_sibling(const char* name, char** argv) {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (error) throw InputError(fmt::format("/proc/self/exe: {}", error.message()));
  const fs::path beside = self.parent_path() / name;
  const fs::path installed =
      (self.parent_path() / LOCKSTEP_BIN_TO_LIBEXEC / "lockstep" / name).lexically_normal();
  for (const fs::path& candidate : {beside, installed}) {
    if (!fs::exists(candidate, error)) continue;
    ::execv(candidate.c_str(), argv);
    throw InputError(fmt::format("{}: {}", candidate.string(), std::strerror(errno)));
  }
  throw InputError(
      fmt::format("this verb needs {}, which is neither {} nor {}; build and install it, too", name,
                  beside.string(), installed.string()));
}

}  // namespace lockstep::cli
