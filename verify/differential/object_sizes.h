// How much room a compiled file takes in a device's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lockstep::verify {

struct ObjectSizes {
  std::uint64_t code_bytes = 0;
  std::uint64_t constant_bytes = 0;  // all else that is loaded
};

// Of an object file in the ELF format, little endian, of 32 or 64 bits: the sum of its sections,
// before a linker has shortened or left out anything. Nothing when it is no such file.
std::optional<ObjectSizes> object_sizes(std::span<const std::byte> file);

struct Symbol {
  std::string name;  // of a function or a table
  std::uint64_t bytes = 0;
  bool is_code = false;
};

// The functions and tables that such a file defines, in its order; none when it is no such file.
// The sum of their bytes is less than its sections, which are aligned and have texts without names.
std::vector<Symbol> object_symbols(std::span<const std::byte> file);

}  // namespace lockstep::verify
