// Numbers that widen a run.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace lockstep::test {

// Of the environment variable, where it is set.
inline std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace lockstep::test
