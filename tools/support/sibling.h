// The way from `lockstep` to the executables beside it: `lockstep-torch`, which links LibTorch, and
// `lockstep-check`, which links the checker alone.
#pragma once

namespace lockstep::cli {

// Replaces this process by the executable `name` with the arguments `argv`, whose first it takes as
// its own name. It is looked for beside this executable and where the build installs it. Returns
// never; InputError when it cannot be found or started.
[[noreturn]] int become_sibling(const char* name, char** argv);

}  // namespace lockstep::cli
