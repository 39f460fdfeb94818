#include "intrt/cpu_features.h"

#include <stdint.h>

// On x86 the compiler's library reads cpuid (leaf 7) and XCR0, which says what registers the
// operating system keeps, once, before main: a cpuid for each run would cost more than a small
// network, above all on virtual machines.

#ifdef INTRT_WITH_AVX512VNNI
bool intrt::has_avx512vnni() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma");
}
bool intrt::has_avx512vbmi() { return __builtin_cpu_supports("avx512vbmi"); }
#endif

#ifdef INTRT_WITH_AVXVNNI
bool intrt::has_avxvnni() {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return false;
#ifdef __clang__  // whose library does not look for it
  const auto eax_of_leaf7 = [](uint32_t subleaf) {
    uint32_t eax = 7, ebx, ecx = subleaf, edx;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return eax;
  };
  return eax_of_leaf7(0) >= 1 && (eax_of_leaf7(1) >> 4 & 1) != 0;
#else
  return __builtin_cpu_supports("avxvnni");
#endif
}
#endif

#ifdef INTRT_WITH_AVX2
bool intrt::has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif

#ifdef INTRT_WITH_NEONDOT
extern "C" unsigned long getauxval(unsigned long type);  // of Linux's C libraries

bool intrt::has_neondot() {
  constexpr unsigned long kHwcap = 16, kHwcapAsimdDp = 1ul << 20;
  return (getauxval(kHwcap) & kHwcapAsimdDp) != 0;
}
#endif
