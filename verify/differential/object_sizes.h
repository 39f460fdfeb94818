// How much room a compiled file takes in a device's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace lockstep::verify {

struct ObjectSizes {
  std::uint64_t code_bytes = 0;
  std::uint64_t constant_bytes = 0;  // all else that is loaded
};

// Of an object file in the ELF format, little endian, of 32 or 64 bits: the sum of its sections,
// before a linker has shortened or left out anything. Nothing when it is no such file.
std::optional<ObjectSizes> object_sizes(std::span<const std::byte> file);

}  // namespace lockstep::verify
