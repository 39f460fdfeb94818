// The runtime, compiled for an emulated core: once, for every plan that runs there.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "verify/differential/private_folder.h"
#include "verify/differential/targets.h"

namespace lockstep::verify {

class RuntimeBuild {
 public:
  explicit RuntimeBuild(const EmulatedTarget& target) : target_(target) {}

  // Compiles it, unless that has been done. Why it does not compile; empty when it does.
  const std::string& prepare(std::chrono::milliseconds timeout);

  // Of a runtime that compiles: its object files, and where its headers are.
  const std::vector<std::string>& objects() const { return objects_; }
  std::vector<std::string> include_flags() const;

 private:
  const EmulatedTarget& target_;
  PrivateFolder folder_;
  bool is_compiled_ = false;
  std::string failure_;
  std::vector<std::string> objects_;
};

}  // namespace lockstep::verify
