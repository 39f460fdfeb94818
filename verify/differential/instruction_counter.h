// The plugin of QEMU that counts instructions (plugin/insn_count.c).
#pragma once

#include <filesystem>
#include <optional>

namespace lockstep::verify {

// Beside the installed program that runs, else where this was built, else where it was to be
// installed; nothing when it is in none of these places.
std::optional<std::filesystem::path> find_instruction_counter();

extern const char* const kInstalledInstructionCounter;  // for messages

}  // namespace lockstep::verify
