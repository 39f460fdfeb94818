// The sources of the harness (verify/differential/harness) and of the runtime (intrt), put into the
// library when it is built, so that an installed lockstep needs no source tree.
#pragma once

#include <span>
#include <string_view>

namespace lockstep::verify {

struct HarnessFile {
  std::string_view path;  // relative to the folder
  std::string_view text;
};

std::span<const HarnessFile> harness_files();

// Those that a device needs: headers as they are included, and the sources to compile.
std::span<const HarnessFile> runtime_files();

}  // namespace lockstep::verify
