#include "intrt/kernels/avx2/vector.h"

#include "intrt/kernels/vector/max_pool2d.h"

const intrt::FastKernel intrt_avx2_max_pool2d = {intrt::takes, intrt::run,    nullptr,
                                                 nullptr,      intrt::slices, intrt::row_slices};
