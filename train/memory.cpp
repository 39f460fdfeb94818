#include "train/memory.h"

#include <malloc.h>

#include <climits>

namespace lockstep::train {

void keep_freed_memory() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that glibc allows
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
#endif
}

}  // namespace lockstep::train
