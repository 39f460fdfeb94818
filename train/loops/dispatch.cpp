#include <vector>

#include "train/loops/loops.h"

namespace lockstep::train {
namespace {

std::vector<const Loops*> find_runnable() {
  std::vector<const Loops*> found = {&kBaselineLoops};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) found.push_back(&kAvx2Loops);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    found.push_back(&kAvx512Loops);
#endif
  return found;
}

}  // namespace

std::span<const Loops* const> runnable_loops() {
  static const std::vector<const Loops*> found = find_runnable();
  return found;
}

const Loops& loops() { return *runnable_loops().back(); }

}  // namespace lockstep::train
