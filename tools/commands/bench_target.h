// bench --target: what generated C, or the plan, costs on emulated cores, operator by operator.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tools/support/console.h"

namespace lockstep::cli {

struct TargetBenchOptions {
  std::filesystem::path plan;
  std::filesystem::path c_folder;  // empty: the runtime runs the plan
  std::filesystem::path report;    // a page to write; empty: none
  std::string prefix = "net";
  std::vector<std::string> targets;  // of bench_target_names()
};

// The emulated cores, and "all" for all of them.
std::vector<std::string> bench_target_names();

// Prints a table for each core, and one that compares them, and writes the page. InputError where
// the C or the plan does not run there, and where the C is not the plan.
int bench_targets(const TargetBenchOptions& options, Console& console);

}  // namespace lockstep::cli
