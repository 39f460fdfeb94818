// A new folder of mode 0700 below $TMPDIR (or /tmp), removed with everything in it when it goes out
// of scope.
#pragma once

#include <filesystem>

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
};

}  // namespace lockstep::verify
