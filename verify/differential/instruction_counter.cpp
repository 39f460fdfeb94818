#include "verify/differential/instruction_counter.h"

#include <system_error>

namespace lockstep::verify {

const char* const kInstalledInstructionCounter = LOCKSTEP_PLUGIN_INSTALLED;

std::optional<std::filesystem::path> find_instruction_counter() {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path candidates[] = {
      error ? fs::path() : program.parent_path().parent_path() / LOCKSTEP_PLUGIN_RELATIVE,
      LOCKSTEP_PLUGIN_BUILD, LOCKSTEP_PLUGIN_INSTALLED};
  for (const fs::path& candidate : candidates)
    if (!candidate.empty() && fs::is_regular_file(candidate, error)) return candidate;
  return std::nullopt;
}

}  // namespace lockstep::verify
