// The emulated cores that generated C, and the runtime, are compiled for and run on: all that is
// particular to one of them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::verify {

// Of a core without an operating system, in its emulated machine.
struct MemoryMap {
  std::uint32_t vectors;           // where the core looks for them, or begins
  std::uint32_t code, code_bytes;  // constants, too
  std::uint32_t ram, ram_bytes;
};

struct EmulatedTarget {
  std::string_view name;          // "cortex-m4"
  std::string_view processor;     // "Cortex-M4"
  std::string_view compiler;      // a program
  std::string_view cxx_compiler;  // likewise, of the runtime
  std::vector<std::string_view> flags;
  std::string_view optimization;          // of a firmware build
  std::string_view emulator;              // a program
  std::vector<std::string_view> machine;  // its arguments
  std::string_view startup;               // harness file; empty: a program for Linux
  std::optional<MemoryMap> memory;        // likewise
};

std::span<const EmulatedTarget> emulated_targets();

// Null when there is none of that name.
const EmulatedTarget* find_emulated_target(std::string_view name);

// Every name that stands for one or several ways to run generated C, or a plan.
std::vector<std::string> target_names();

// The Debian packages that a compiler or emulator of a target needs, with spaces in between.
std::string_view debian_packages(std::string_view program);

}  // namespace lockstep::verify
