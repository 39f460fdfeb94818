// Compiles generated C with the harness and runs it: natively with gcc and clang at -O0 and -O3,
// and for emulated cores under QEMU; there also the runtime with a plan in place of the C. Every
// compiler, emulator and network runs as a child process with a time limit in a folder of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "verify/differential/harness_build.h"
#include "verify/differential/net_table.h"
#include "verify/differential/observation.h"
#include "verify/differential/plan_runner.h"
#include "verify/differential/runtime_build.h"
#include "verify/differential/targets.h"
#include "verify/verify.h"

namespace lockstep::verify {

struct CProgram {
  std::filesystem::path folder;  // with PREFIX.c, PREFIX.h, PREFIX_selftest.c
  std::string prefix;
  std::chrono::milliseconds timeout{0};  // of each compilation and each run
  // Not null: no C, but the runtime runs this plan, with no other kernels than it needs. Only on
  // plan_targets().
  const OpenPlan* plan = nullptr;
};

// One way to compile and run it.
struct CTarget {
  std::string name;                                 // "C gcc -O3", "C cortex-m4 (qemu)"
  std::string compiler;                             // the program's name
  std::string optimization;                         // "-O3"
  const EmulatedTarget* emulated = nullptr;         // null: this machine
  std::vector<std::string> flags = {};              // more of them, for the host
  std::shared_ptr<RuntimeBuild> runtime = nullptr;  // of plan_targets() alone
  // Copies share it: one that is compiled with other flags needs its own.
  std::shared_ptr<HarnessBuild> harness = std::make_shared<HarnessBuild>();
};

// InputError for C files that are missing or unusable.
void require_c_files(const CProgram& program);

// The ways that `targets` (target_names()) stand for, each once, in that order. InputError for an
// unknown target or none and for a compiler or emulator that is not installed (it names the Debian
// packages).
std::vector<CTarget> c_targets(const std::vector<std::string>& targets);

// The ways to run a plan on the emulated cores among `targets`: "plan cortex-m4 (qemu)". The host's
// are none: plan_runner.h runs plans there. InputError as for c_targets, and for "host-all", which
// only C has.
std::vector<CTarget> plan_targets(const std::vector<std::string>& targets);

struct CRun {
  std::optional<Observations> seen;  // every visible tensor; absent on failure or difference
  // Emulated targets and -O3: the outputs of the build without observation, read where the C's
  // tensor table says that they lie.
  std::optional<Observations> deployed;
  std::optional<EmulatedCost> cost;  // emulated targets: of that build
  std::string failure;
  // The first number of the C's tables that is not the plan's, or what its self test found wrong.
  std::optional<TableDifference> difference;
};

// Every member of ExecutionCounts.
inline constexpr std::uint64_t ExecutionCounts::*kExecutionCounts[] = {
    &ExecutionCounts::instructions, &ExecutionCounts::reads,
    &ExecutionCounts::writes,       &ExecutionCounts::multiplications,
    &ExecutionCounts::branches,     &ExecutionCounts::vector_instructions};

enum class CRunDepth {
  kObserved,  // the build that reports every tensor, and the self test with it
  kDeployed,  // also, on emulated targets and at -O3, the one that a device would run
};

// Compares the tables of the C with `plan`, then runs every sample, then the self test of the C.
CRun run_c(const CTarget& target, const CProgram& program, const Graph& graph, const NetTable& plan,
           const Batch& batch, std::int64_t samples, CRunDepth depth = CRunDepth::kDeployed);

}  // namespace lockstep::verify
