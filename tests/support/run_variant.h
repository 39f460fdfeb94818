// Runs a plan on one kernel variant, as a program would that has memory for prepared weights. That
// memory has exactly the size that was asked for.
#pragma once

#include <cstring>
#include <vector>

#include "intrt/intrt.h"

namespace lockstep::testing {

// `options.kernels` names the variant.
inline intrt_status run_variant(const intrt_plan& plan, void* arena, std::size_t arena_bytes,
                                const intrt_run_options& options) {
  struct alignas(INTRT_PREPARED_ALIGNMENT) Block {
    unsigned char bytes[INTRT_PREPARED_ALIGNMENT];
  };
  const std::size_t bytes = intrt_prepared_bytes(&plan, options.kernels);
  if (bytes == 0) return INTRT_ERROR_KERNELS;
  std::vector<Block> memory((bytes + sizeof(Block) - 1) / sizeof(Block));
  std::memset(static_cast<void*>(memory.data()), 0x3C, memory.size() * sizeof(Block));
  const intrt_status status = intrt_prepare(&plan, options.kernels, memory.data(), bytes);
  if (status != INTRT_OK) return status;
  return intrt_run_prepared(&plan, memory.data(), arena, arena_bytes, &options);
}

}  // namespace lockstep::testing
