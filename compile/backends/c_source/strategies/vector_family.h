// The two families of micro-kernels for cores with vectors of 16 codes, where they differ in names
// alone, or nearly so: intrt/micro/mve.h and intrt/micro/neon.h.
#pragma once

#include <cstdint>
#include <string_view>

#include "compile/backends/c_source/target.h"

namespace lockstep::backends {

struct VectorFamily {
  MicroKernels kernels = MicroKernels::kNone;
  std::string_view prefix;  // of its functions
  const char* const* text;  // of its micro-kernels
  // Where the numbers of channel c < 16 lie when channels are summed side by side; the same in C.
  std::int64_t (*place_of)(std::int64_t c) = nullptr;
  std::string_view place_text;
};

extern const VectorFamily kMveFamily, kNeonFamily;

}  // namespace lockstep::backends
