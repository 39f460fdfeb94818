// The way from `lockstep` to `lockstep-torch`, the executable that links LibTorch.
#pragma once

namespace lockstep::cli {

// Replaces this process by `lockstep-torch` with the same arguments. It is looked for beside this
// executable and where the build installs it. Returns never; InputError when it cannot be found or
// started.
[[noreturn]] int become_torch_sibling(char** argv);

}  // namespace lockstep::cli
