#include "train/process_settings.h"

#include <malloc.h>
#include <torch/torch.h>

#include <climits>

#include "train/blas.h"

namespace lockstep::train {

void prepare_process(int threads) {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that glibc allows
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
#endif
  if (threads == 0) return;
  at::set_num_threads(threads);
  set_blas_threads(threads);
}

}  // namespace lockstep::train
