#include "intrt/variants.h"

#include "intrt/cpu_features.h"

namespace {

using namespace intrt;

struct VariantInfo {
  const char* name;
  bool (*runs_here)();
};

// In the order of Variant.
constexpr VariantInfo kVariantInfos[] = {
#define INTRT_VARIANT_INFO(variant, name) {#variant, has_##variant},
    INTRT_FAST_VARIANTS(INTRT_VARIANT_INFO, )
#undef INTRT_VARIANT_INFO
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
