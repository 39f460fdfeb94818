// Instead of intrt/cpu_features.cpp, where the kernels of AVX-VNNI have vpdpbusd as AVX-512 encodes
// it.
#include "intrt/cpu_features.h"

bool intrt::has_avxvnni() {
  return __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}
