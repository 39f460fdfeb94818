#include "intrt/variants.h"

namespace {

using namespace intrt;

struct VariantInfo {
  const char* name;
  bool (*runs_here)();
};

#ifdef INTRT_WITH_AVX512VNNI
bool has_avx512vnni() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}
#endif

// In the order of Variant.
constexpr VariantInfo kVariantInfos[] = {
#ifdef INTRT_WITH_AVX512VNNI
    {"avx512vnni", has_avx512vnni},
#endif
    {"scalar", [] { return true; }},
};
static_assert(sizeof kVariantInfos / sizeof kVariantInfos[0] == kVariants, "one for each variant");

bool same_text(const char* a, const char* b) {
  for (; *a != 0 && *a == *b; ++a) ++b;
  return *a == *b;
}

}  // namespace

uint32_t intrt::choose_variant(const char* name) {
  uint32_t variant = 0;
  while (variant < kVariants &&
         !((name == nullptr || same_text(name, kVariantInfos[variant].name)) &&
           kVariantInfos[variant].runs_here()))
    ++variant;
  return variant;
}

const char* intrt_kernel_variant(uint32_t i) {
  return i < kVariants ? kVariantInfos[i].name : nullptr;
}

int intrt_kernel_variant_runs_here(uint32_t i) {
  return i < kVariants && kVariantInfos[i].runs_here() ? 1 : 0;
}
