// A new folder of mode 0700 below $TMPDIR (or /tmp), removed with everything in it when it goes out
// of scope or the process is interrupted.
#pragma once

#include <filesystem>
#include <optional>

#include "compile/support/interruption.h"

namespace lockstep::verify {

class PrivateFolder {
 public:
  PrivateFolder();  // InputError when the system refuses
  ~PrivateFolder();
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::optional<UndoOnInterrupt> undo_;
};

}  // namespace lockstep::verify
