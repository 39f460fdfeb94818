#include "verify/differential/private_folder.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

#include "compile/support/error.h"

namespace lockstep::verify {

PrivateFolder::PrivateFolder() {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::temp_directory_path(error);
  std::string name =
      ((error ? std::filesystem::path("/tmp") : parent) / "lockstep-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr)
    throw InputError(
        fmt::format("{}: cannot make a temporary folder: {}", name, std::strerror(errno)));
  path_ = name;
}

PrivateFolder::~PrivateFolder() {
  std::error_code ignored;  // nothing more can be done about a folder that cannot be removed
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace lockstep::verify
