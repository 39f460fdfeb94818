// Generated C, compiled together with the harness by one target's compiler in a private folder, and
// run there as often as wanted, each time as a child process with a time limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "verify/differential/c_runner.h"
#include "verify/differential/private_folder.h"

namespace lockstep::verify {

inline constexpr const char* kEmulator = "qemu-system-arm";

// What a build may write beyond what it is asked for: its tables and messages.
inline constexpr std::uint64_t kOutputSlackBytes = std::uint64_t{16} << 20;

enum class CBuildKind {
  kObserved,  // reports every visible tensor
  kDeployed,  // as a device runs it: reports the outputs; on Cortex-M4 instructions are counted
  kProbed,    // as observed, and each tensor is then replaced by codes from the input
  kSelfTest,  // runs PREFIX_selftest alone
};

class CBuild {
 public:
  CBuild(const CTarget& target, const CProgram& program, CBuildKind kind);

  struct Output {
    std::string failure;  // why there is no output: it did not compile, crashed, hung, ...
    std::vector<std::byte> bytes;
  };
  Output run(std::span<const std::byte> input, std::uint64_t output_limit);

  // The most that a sample of the last run took; nothing unless that was counted for `samples`.
  std::optional<std::uint64_t> instructions(std::int64_t samples) const;

 private:
  const CTarget& target_;
  const CProgram& program_;
  PrivateFolder folder_;
  std::string failure_;
};

// Where the emulator's instruction counter lies: beside an installed program, in the build tree, or
// where it was installed.
std::optional<std::filesystem::path> find_instruction_counter();

}  // namespace lockstep::verify
