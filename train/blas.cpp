#include "train/blas.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include "train/plural.h"

namespace lockstep::train {
namespace {

// A function without parameters that only one library has; nullptr where that is not loaded.
template <typename Result>
Result (*function(const char* name))() {
  return reinterpret_cast<Result (*)()>(dlsym(RTLD_DEFAULT, name));
}

}  // namespace

std::string blas_description() {
  if (const auto config = function<const char*>("openblas_get_config")) {
    const auto threads = function<int>("openblas_get_num_threads");
    return fmt::format("{}, {}", config(), counted(threads == nullptr ? 0 : threads(), "thread"));
  }
  if (const auto version = function<const char*>("bli_info_get_version_str"))
    return fmt::format("BLIS {}", version());
  if (function<void>("ATL_buildinfo") != nullptr) return "ATLAS";
  if (function<void>("mkl_get_version") != nullptr) return "MKL";
  return "reference";
}

void set_blas_threads(int threads) {
  if (auto* const set = dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))
    reinterpret_cast<void (*)(int)>(set)(threads);
}

bool has_optimized_blas() { return blas_description() != "reference"; }

}  // namespace lockstep::train
