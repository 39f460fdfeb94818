// Splitting loops over elements among LibTorch's threads.
#pragma once

#include <ATen/Parallel.h>

#include <cstdint>

// at::parallel_for is a template, and serial where it is compiled without OpenMP.
#if AT_PARALLEL_OPENMP && !defined(_OPENMP)
#error "compile this file with -fopenmp (train/CMakeLists.txt)"
#endif

namespace lockstep::train {

inline constexpr std::int64_t kElementsPerTask = 1 << 15;  // below that a thread costs more

// Calls work(begin, end) for ranges that make up [0, count).
template <typename Work>
void for_each_range(std::int64_t count, const Work& work) {
  at::parallel_for(0, count, kElementsPerTask, work);
}

}  // namespace lockstep::train
