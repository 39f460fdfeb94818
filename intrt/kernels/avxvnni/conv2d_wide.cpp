#include "intrt/kernels/avxvnni/wide.h"

#include "intrt/kernels/vector/depthwise_wide.h"

#include "intrt/kernels/vector/conv2d.h"

const intrt::FastKernel intrt_avxvnni_conv2d_wide = {intrt::takes,          intrt::run,
                                                     intrt::prepared_bytes, intrt::prepare,
                                                     intrt::slices,         intrt::row_slices};
// Prepared weights are the same however the plan stores them.
const intrt::FastKernel intrt_avxvnni_conv2d_sparse_wide = {
    intrt::takes,   intrt::run,    intrt::prepared_bytes,
    intrt::prepare, intrt::slices, intrt::row_slices};
