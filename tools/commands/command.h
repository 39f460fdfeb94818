// What every verb of the command line is: a function that declares its options on a CLI::App and
// returns the action to take once they are parsed. One file per verb, named after it.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace lockstep::cli {

// The exit codes of the command line, with kExitInterrupted of compile/support/interruption.h;
// docs/guide/ci.md explains them.
inline constexpr int kExitOk = 0;
inline constexpr int kExitRefuted = 1;
inline constexpr int kExitBadInput = 2;
inline constexpr int kExitUnknown = 3;
inline constexpr int kExitInternalError = 4;

// Does the work and returns an exit code, or throws. Owns its options.
using Action = std::function<int()>;

Action add_bench(CLI::App& verb);
Action add_compile(CLI::App& verb);
Action add_convert(CLI::App& verb);
Action add_inspect(CLI::App& verb);
Action add_run(CLI::App& verb);
Action add_train(CLI::App& verb);
Action add_verify(CLI::App& verb);
Action add_zoo(CLI::App& verb);

}  // namespace lockstep::cli
