#include "intrt/kernels/avx2/vector.h"

#include "intrt/kernels/avx2/add_alike.h"
#include "intrt/kernels/vector/add_channels.h"

#include "intrt/kernels/vector/add.h"

const intrt::FastKernel intrt_avx2_add = {intrt::takes, intrt::run,    nullptr,
                                          nullptr,      intrt::slices, intrt::row_slices};
