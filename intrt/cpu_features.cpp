#include "intrt/cpu_features.h"

#include <stdint.h>

#if defined(__x86_64__)

// The compiler's library reads cpuid and XCR0 once, before main: a cpuid for each run would cost
// more than a small network, above all on virtual machines.
bool intrt::has_avx2() { return __builtin_cpu_supports("avx2"); }

bool intrt::has_avxvnni() {
#if defined(__clang__)  // whose library does not look for it
  if (!has_avx2()) return false;
  const auto eax_of_leaf7 = [](uint32_t subleaf) {
    uint32_t eax = 7, ebx, ecx = subleaf, edx;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return eax;
  };
  return eax_of_leaf7(0) >= 1 && (eax_of_leaf7(1) >> 4 & 1) != 0;
#else
  return has_avx2() && __builtin_cpu_supports("avxvnni");
#endif
}

bool intrt::has_avx512vnni() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}

#elif defined(__aarch64__) && defined(__linux__)

// Of the C library: <sys/auxv.h>.
extern "C" unsigned long getauxval(unsigned long type);

bool intrt::has_neondot() {
  constexpr unsigned long kHwcap = 16, kHwcapAsimdDp = 1ul << 20;
  return (getauxval(kHwcap) & kHwcapAsimdDp) != 0;
}

#endif
