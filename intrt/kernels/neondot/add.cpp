#include "intrt/kernels/neondot/vector.h"

#include "intrt/kernels/vector/add_channels.h"

#include "intrt/kernels/vector/add.h"

const intrt::FastKernel intrt_neondot_add = {intrt::takes, intrt::run,    nullptr,
                                             nullptr,      intrt::slices, intrt::row_slices};
