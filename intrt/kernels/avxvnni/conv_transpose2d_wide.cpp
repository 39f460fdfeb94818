#include "intrt/kernels/avxvnni/wide.h"

#include "intrt/kernels/vector/conv_transpose2d.h"

const intrt::FastKernel intrt_avxvnni_conv_transpose2d_wide = {
    intrt::takes, intrt::run, intrt::prepared_bytes, intrt::prepare, intrt::slices};
