#include "intrt/kernels/neondot/vector.h"

#include "intrt/kernels/vector/convolution.h"

#include "intrt/kernels/vector/linear.h"

const intrt::FastKernel intrt_neondot_linear = {intrt::takes, intrt::run, intrt::prepared_bytes,
                                                intrt::prepare, intrt::slices};
// Prepared weights are the same however the plan stores them.
const intrt::FastKernel intrt_neondot_linear_sparse = {
    intrt::takes, intrt::run, intrt::prepared_bytes, intrt::prepare, intrt::slices};
