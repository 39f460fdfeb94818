// The cores that C can be generated for, and what their instructions are good at.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::backends {

// Which micro-kernels (intrt/micro/) a core runs fast.
enum class MicroKernels : std::uint8_t {
  kNone,    // plain C alone
  kPacked,  // two products with one multiplication: cores without instructions for several products
  kDsp,     // SMLAD: two products of 16-bit numbers
  kMve,     // VMLADAVA: sixteen products of 8-bit numbers, and vectors for all else
  kNeon     // SDOT: the same with sixteen products in four sums
};

struct Target {
  std::string_view name;
  MicroKernels kernels = MicroKernels::kNone;
  int sparse_positions = 8;  // that the registers hold sums of: intrt/micro/sparse.h
};

// InputError, which lists the names, for any other name.
const Target& target_named(std::string_view name);
std::vector<std::string> target_names();

}  // namespace lockstep::backends
