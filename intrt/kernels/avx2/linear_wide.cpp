#include "intrt/kernels/avx2/wide.h"

#include "intrt/kernels/vector/convolution.h"

#include "intrt/kernels/vector/linear.h"

const intrt::FastKernel intrt_avx2_linear_wide = {intrt::takes, intrt::run, intrt::prepared_bytes,
                                                  intrt::prepare, intrt::slices};
// Prepared weights are the same however the plan stores them.
const intrt::FastKernel intrt_avx2_linear_sparse_wide = {
    intrt::takes, intrt::run, intrt::prepared_bytes, intrt::prepare, intrt::slices};
