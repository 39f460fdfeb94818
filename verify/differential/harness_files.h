// The C sources of the harness (verify/differential/harness), put into the library when it is
// built, so that an installed lockstep needs no source tree.
#pragma once

#include <span>
#include <string_view>

namespace lockstep::verify {

struct HarnessFile {
  std::string_view path;  // relative to the harness's folder
  std::string_view text;
};

std::span<const HarnessFile> harness_files();

}  // namespace lockstep::verify
