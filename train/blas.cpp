#include "train/blas.h"

#include <dlfcn.h>

#include <initializer_list>

namespace lockstep::train {

bool has_optimized_blas() {
  // One function that only this library has, for each.
  for (const char* const symbol :
       {"openblas_get_config", "bli_info_get_version_str", "ATL_buildinfo", "mkl_get_version"})
    if (dlsym(RTLD_DEFAULT, symbol) != nullptr) return true;
  return false;
}

}  // namespace lockstep::train
