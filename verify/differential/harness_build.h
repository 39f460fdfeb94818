// The harness for one target: its files, and of those that are the same for every network and every
// kind of build the object files. Made once, for all that is built for that target.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "verify/differential/private_folder.h"

namespace lockstep::verify {

struct CTarget;

class HarnessBuild {
 public:
  // Writes and compiles it, unless that has been done. Why it does not compile; empty when it does.
  const std::string& prepare(const CTarget& target, std::chrono::milliseconds timeout);

  // Of a harness that compiles: where its files are, what every compilation for the target is
  // given, and the object files.
  std::filesystem::path folder() const { return folder_->path() / "harness"; }
  const std::vector<std::string>& compiler_flags() const { return flags_; }
  const std::vector<std::string>& objects() const { return objects_; }

 private:
  std::optional<PrivateFolder> folder_;
  std::string failure_;
  std::vector<std::string> flags_;
  std::vector<std::string> objects_;
};

}  // namespace lockstep::verify
