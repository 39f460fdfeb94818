#include "intrt/kernels/avxvnni/vector.h"

#include "intrt/kernels/avx2/add_alike.h"
#include "intrt/kernels/vector/add_channels.h"

#include "intrt/kernels/vector/add.h"

const intrt::FastKernel intrt_avxvnni_add = {intrt::takes, intrt::run,    nullptr,
                                             nullptr,      intrt::slices, intrt::row_slices};
