#include "tools/support/file_names.h"

namespace lockstep::cli {

std::string name_files(const std::string& files, const std::string& message) {
  const bool about_network = message.starts_with("layer '") || message.starts_with("'");
  return about_network ? files + ": " + message : message;
}

}  // namespace lockstep::cli
