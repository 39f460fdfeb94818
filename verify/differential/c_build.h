// Generated C, or a plan with the runtime, compiled together with the harness by one target's
// compiler in a private folder, and run there as often as wanted, each time as a child process with
// a time limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "verify/differential/c_runner.h"
#include "verify/differential/child_process.h"
#include "verify/differential/object_sizes.h"
#include "verify/differential/private_folder.h"

namespace lockstep::verify {

// What a build may write beyond what it is asked for: its tables and messages.
inline constexpr std::uint64_t kOutputSlackBytes = std::uint64_t{16} << 20;

enum class CBuildKind {
  kObserved,  // reports every visible tensor
  kDeployed,  // as a device runs it: reports the outputs; on emulated targets it is counted
  kProbed,    // as observed, and each tensor is then replaced by codes from the input
  kMarked,    // emulated targets only: as deployed, but counted tensor by tensor
};

class CBuild {
 public:
  CBuild(const CTarget& target, const CProgram& program, CBuildKind kind);

  // What is built, for messages: "the C".
  const char* subject() const;

  struct Output {
    std::string failure;  // why there is no output: it did not compile, crashed, hung, ...
    std::vector<std::byte> bytes;
  };
  Output run(std::span<const std::byte> input, std::uint64_t output_limit);

  // Runs PREFIX_selftest alone, on the same compiled network, which is C.
  Output run_self_test();

  // What the last run of a counted build took, region by region: of a deployed build one for each
  // sample; of a marked one, for each sample, what led to the first tensor, to each other one, and
  // what followed the last. Nothing when the counter did not give exactly `regions` of them.
  std::optional<std::vector<ExecutionCounts>> counts(std::int64_t regions) const;

  // What opening the plan took in that run; nothing was counted where there are no counts, or no
  // plan.
  ExecutionCounts opening() const;

  // Of the compiled PREFIX.c, or of the plan and what it needs of the runtime; nothing when it did
  // not compile.
  std::optional<ObjectSizes> sizes() const;

  // Of the compiled PREFIX.c; none when it did not compile.
  std::vector<Symbol> symbols() const;

  // Of the functions of PREFIX.c on an emulated target (stack_bound.h); none when it did not
  // compile.
  std::map<std::string, std::uint64_t, std::less<>> stack_bounds() const;

  // Of PREFIX_run on an emulated target (stack_bound.h); nothing when it did not compile.
  std::optional<std::uint64_t> stack_bound_bytes() const;

 private:
  std::optional<std::vector<ExecutionCounts>> all_counts() const;
  std::string compile_network();
  std::string compile_c();
  std::string link_runtime();
  ChildResult run_compiler(std::vector<std::string> arguments) const;
  std::string link(const char* binary, const std::vector<std::string>& sources);
  std::string run_binary(const char* binary, std::uint64_t output_limit);
  Output read_output(const std::string& failure) const;
  bool is_counted() const;
  std::string call_graph() const;  // empty where there is none

  const CTarget& target_;
  const CProgram& program_;
  CBuildKind kind_;
  PrivateFolder folder_;
  std::string failure_;
};

}  // namespace lockstep::verify
